"""The contract type `room` of import-linter (.importlinter): what a room may import directly, nothing else.

Import-linter's own types forbid, the architecture allows: whatever is not named breaks the contract, also a
package that nobody has thought of yet. The standard library is always allowed, indirect imports are ignored.
"""

from __future__ import annotations

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class RoomContract(Contract):
    """`room`: a module with all below it; `may_import`: modules with all below them, packages."""

    room = fields.StringField()
    may_import = fields.SetField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        """Looks at every direct import of the room; a room that is not there is an error of the table."""
        if self.room not in graph.modules:
            raise ValueError(f"there is no module {self.room}: correct .importlinter")
        broken = [
            (importer, imported)
            for importer in sorted({self.room} | graph.find_descendants(self.room))
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not self._allowed(imported)
        ]
        lines = [
            (importer, imported, detail["line_number"], detail["line_contents"])
            for importer, imported in broken
            for detail in graph.get_import_details(importer=importer, imported=imported)
        ]
        return ContractCheck(kept=not broken, metadata={"lines": lines})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Prints each import that is not allowed, with its place."""
        for importer, imported, number, text in check.metadata["lines"]:
            output.print_error(f"{importer}:{number}: {self.room} may not import {imported}: {text.strip()}")

    def _allowed(self, imported: str) -> bool:
        # The root package itself holds the version, which everybody may tell.
        if imported.split(".")[0] in sys.stdlib_module_names or imported == self.room.split(".")[0]:
            return True
        return any(_inside(imported, allowed) for allowed in (self.room, *(self.may_import or ())))


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")
