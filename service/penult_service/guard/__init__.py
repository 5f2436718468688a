"""What is looked at before the files of a model are loaded: links, sizes, operations, and the files that tables name.

`allowed_ops.toml` is the list of the operations that may be served, with the reasons. Strangers' files are looked at
more closely still when they are prepared (`preparing.inspecting`).
"""
