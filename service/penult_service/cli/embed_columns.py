"""Which columns of the inputs of `penult embed` make the rows of a model: those that are named, else by its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from penult_service.cli import records
from penult_service.cli.row_columns import Column, Columns
from penult_service.cli.rows import PARQUET_ENDING
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    from penult_client import ModelInput

TEXT = "text"
# The second text of a pair, for models of one text whose tokenizer knows pairs.
TEXT_PAIR = "text_pair"


@dataclass(frozen=True)
class Named:
    """What the command line names: columns of text, in order, or the column of an input by its name."""

    texts: tuple[str, ...] = ()
    by_input: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, texts: Sequence[str], columns: Sequence[str]) -> Named:
        """From the words of --text-column and of --column.

        Raises:
            InvalidInput: both are there; no INPUT=NAME; an input twice.
        """
        if texts and columns:
            raise InvalidInput(
                "--text-column and --column do not go together; name every input with --column"
            )
        pairs: dict[str, str] = {}
        for word in columns:
            name, _, column = word.partition("=")
            if not name or not column:
                raise InvalidInput(f"--column {word}: write INPUT=NAME, an input of the model and a column")
            if name in pairs:
                raise InvalidInput(f"--column names the input {name!r} twice")
            pairs[name] = column
        return cls(tuple(texts), pairs)

    def deciding(self) -> dict[str, Any]:
        """As options that decide the bytes of the output."""
        if self.by_input:
            return {"--column": [f"{name}={column}" for name, column in self.by_input.items()]}
        return {"--text-column": list(self.texts) if len(self.texts) > 1 else (*self.texts, TEXT)[0]}

    def before_the_model(self, first: Path, encoding: str | None) -> Columns | None:
        """The columns, as far as they can be known without the model, so that a wrong file is refused at once."""
        if self.texts:
            return _in_order(self.texts)
        if not self.by_input and _has_text(first, encoding):
            return Columns.text(TEXT)
        return None

    def of_model(self, inputs: Sequence[ModelInput]) -> Columns:
        """The columns for a model of these inputs: each of its own name, where none is named.

        Raises:
            InvalidInput: the model has no such input, or takes more than the one text that is named.
        """
        wanted = [each for each in inputs if not each.made_by_tokenizing]
        one_text = len(wanted) == 1 and wanted[0].role == "text"
        if len(self.texts) > 1:
            return _in_order(self.texts)
        if self.texts and not one_text and inputs:
            told = " ".join(f"--column {quote(f'{each.name}=NAME')}" for each in wanted)
            raise InvalidInput(f"the model takes {_listed(wanted)}; name their columns: {told}")
        if not self.by_input and (one_text or not inputs):
            return Columns.text((*self.texts, TEXT)[0])
        return self._by_input(inputs, wanted)

    def _by_input(self, inputs: Sequence[ModelInput], wanted: Sequence[ModelInput]) -> Columns:
        named = self.by_input
        known = {each.name: each for each in inputs}
        texts = [each for each in wanted if each.role == "text"]
        pairs = len(texts) == 1 and texts[0].name == TEXT
        unknown = next(
            (name for name in named if name not in known and not (pairs and name == TEXT_PAIR)), None
        )
        if unknown is not None:
            raise InvalidInput(f"--column {unknown}={named[unknown]}: the model takes {_listed(inputs)}")
        made = [name for name in named if name in known and known[name].made_by_tokenizing]
        taken = [each.name for each in wanted if not (made and each.role == "text")]
        names = [*taken, *(name for name in named if name not in taken)]
        if len(names) == 1 and names == [each.name for each in texts]:
            return Columns.text(named[names[0]])
        return Columns(
            tuple(
                Column(named.get(name, name), name, numbers=name in known and known[name].dtype != "string")
                for name in names
            )
        )


def _in_order(texts: Sequence[str]) -> Columns:
    return Columns(tuple(Column(name) for name in texts))


def _listed(inputs: Sequence[ModelInput]) -> str:
    return ", ".join(f"{each.name} ({'text' if each.role == 'text' else each.dtype})" for each in inputs)


def _has_text(path: Path, encoding: str | None) -> bool:
    """Whether the file has a column `text`."""
    if path.suffix.lower() == PARQUET_ENDING:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return TEXT in pq.read_schema(path).names
        except (pa.ArrowException, OSError):
            return True  # no parquet file: said by who reads it
    first = next(records.read(path, TEXT, encoding), None)
    return first is None or TEXT in first.cells or first.problem is not None
