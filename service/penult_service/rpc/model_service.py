"""The models that are loaded."""

from __future__ import annotations

from penult.v1 import model_service_pb2 as pb

from penult_service.embedder import LoadedModel
from penult_service.repository.names import parse_reference
from penult_service.repository.repository import Repository, Version
from penult_service.rpc import model_replies
from penult_service.rpc.codec import Codec
from penult_service.rpc.handlers import Call


class ModelService:
    """`penult.v1.ModelService`."""

    def __init__(self, codec: Codec, repository: Repository[LoadedModel]) -> None:
        self._codec, self._repository = codec, repository

    async def list_models(self, request: pb.ListModelsRequest, _: Call) -> pb.ListModelsResponse:
        """Every version of every model, by name and descending version."""
        first, size = self._codec.page(request)
        versions = self._repository.versions()
        end = first + size
        return pb.ListModelsResponse(
            models=[self._message(version) for version in versions[first:end]],
            next_page_token=str(end) if end < len(versions) else "",
        )

    async def get_model(self, request: pb.GetModelRequest, call: Call) -> pb.GetModelResponse:
        """One version of a model, in whatever state."""
        version = self._repository.find(parse_reference(request.name, "name"), "name")
        call.model = version.resource
        return pb.GetModelResponse(model=self._message(version))

    async def inspect_dropout(
        self, request: pb.InspectDropoutRequest, call: Call
    ) -> pb.InspectDropoutResponse:
        """The dropout layers of a model and the proof that they play no part."""
        model = self._repository.resolve(parse_reference(request.name, "name"), "name")
        response = model_replies.dropout_report(model)
        call.model = response.name
        return response

    def _message(self, version: Version[LoadedModel]) -> pb.Model:
        default = self._repository.default_version(version.name)
        return model_replies.model(version, default=default is not None and default.number == version.number)
