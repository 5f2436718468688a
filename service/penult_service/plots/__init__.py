"""Pictures of what the analyses give: maps as PNG, SVG and self-contained HTML."""
