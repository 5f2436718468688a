"""The encoders of Hugging Face that are read: what their parts are called in a file, and where their dropouts are.

All are the encoder of Devlin et al., 2019 (arXiv:1810.04805). They differ in names, in their embeddings (a narrower
table that is widened; positions that begin behind the padding's id), in layers that share weights, and in their heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        model_type: As `config.json` says it; `prefix` begins the names of the encoder's tensors.
        architecture: The class of transformers that saves it.
        layer: Where a layer is, with its number as `{}`.
        parts: Our name of a part of a layer -> its name there.
        sites: Our name of a dropout of a layer -> its name there.
        hidden: The dense layer between the first token and the head, and what follows it as `activation`.
        readout: What the output of that is called: the embedding.
        dropout: The head's dropout; `twice`: it also stands in front of `hidden`.
        out: The head's dense layer.
        project: What widens the embeddings, where they are narrower than the layers.
        shared: Layers share weights, in groups, and `project` is always there.
        types: Whether tokens have types.
        behind_padding: Positions begin behind the padding's id.
        keys: What its config calls things; `defaults`: what it means by not saying them.
    """

    model_type: str
    architecture: str
    layer: str
    parts: Mapping[str, str]
    sites: Mapping[str, str]
    hidden: str
    activation: str
    readout: str
    dropout: str
    out: str
    keys: Mapping[str, str]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    twice: bool = False
    types: bool = True
    behind_padding: bool = False
    project: str = ""
    shared: bool = False

    @property
    def prefix(self) -> str:
        return self.model_type


_BERT_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "outer_norm": "output.LayerNorm",
}
_BERT_SITES = {
    "shares": "attention.self.dropout",
    "attended": "attention.output.dropout",
    "outer": "output.dropout",
}
_BERT_LAYERS: dict[str, Any] = {
    "layer": "encoder.layer.{}",
    "parts": _BERT_PARTS,
    "sites": _BERT_SITES,
    "keys": {},
}
_DENSE_HEAD: dict[str, Any] = {
    "hidden": "classifier.dense",
    "readout": "classifier.dense",
    "dropout": "classifier.dropout",
    "out": "classifier.out_proj",
    "twice": True,
}

FAMILIES = {
    family.model_type: family
    for family in (
        Family(
            model_type="bert",
            architecture="BertForSequenceClassification",
            hidden="bert.pooler.dense",
            activation="tanh",
            readout="pooler_output",
            dropout="dropout",
            out="classifier",
            **_BERT_LAYERS,
        ),
        Family(
            model_type="distilbert",
            architecture="DistilBertForSequenceClassification",
            layer="transformer.layer.{}",
            parts={
                "query": "attention.q_lin",
                "key": "attention.k_lin",
                "value": "attention.v_lin",
                "attended": "attention.out_lin",
                "attended_norm": "sa_layer_norm",
                "inner": "ffn.lin1",
                "outer": "ffn.lin2",
                "outer_norm": "output_layer_norm",
            },
            sites={"shares": "attention.dropout", "outer": "ffn.dropout"},
            hidden="pre_classifier",
            activation="relu",
            readout="pre_classifier",
            dropout="dropout",
            out="classifier",
            keys={
                "layers": "n_layers",
                "heads": "n_heads",
                "width": "dim",
                "intermediate": "hidden_dim",
                "activation": "activation",
                "hidden_dropout": "dropout",
                "attention_dropout": "attention_dropout",
                "classifier_dropout": "seq_classif_dropout",
            },
            defaults={"classifier_dropout": 0.2},
            types=False,
        ),
        Family(
            model_type="electra",
            architecture="ElectraForSequenceClassification",
            activation="gelu",
            project="electra.embeddings_project",
            **_BERT_LAYERS,
            **_DENSE_HEAD,
        ),
        Family(
            model_type="roberta",
            architecture="RobertaForSequenceClassification",
            activation="tanh",
            behind_padding=True,
            defaults={"padding": 1},
            **_BERT_LAYERS,
            **_DENSE_HEAD,
        ),
        Family(
            model_type="albert",
            architecture="AlbertForSequenceClassification",
            layer="encoder.albert_layer_groups.{}.albert_layers.{}",
            parts={
                "query": "attention.query",
                "key": "attention.key",
                "value": "attention.value",
                "attended": "attention.dense",
                "attended_norm": "attention.LayerNorm",
                "inner": "ffn",
                "outer": "ffn_output",
                "outer_norm": "full_layer_layer_norm",
            },
            sites={"shares": "attention.attention_dropout", "attended": "attention.output_dropout"},
            hidden="albert.pooler",
            activation="tanh",
            readout="pooler_output",
            dropout="dropout",
            out="classifier",
            keys={"classifier_dropout": "classifier_dropout_prob"},
            defaults={
                "activation": "gelu_new",
                "hidden_dropout": 0.0,
                "attention_dropout": 0.0,
                "classifier_dropout": 0.1,
                "embedding_width": 128,
            },
            project="albert.encoder.embedding_hidden_mapping_in",
            shared=True,
        ),
    )
}
"""By the `model_type` of `config.json`."""
