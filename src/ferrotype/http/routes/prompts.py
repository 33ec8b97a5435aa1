"""`/v1/prompts`: what was asked for before, and what one prompt stands for."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from ferrotype.domain.dynamic_prompts import first, told
from ferrotype.http.checks import check_limit
from ferrotype.http.context import Context, context_of
from ferrotype.http.schemas import GenerationBody, problems

router = APIRouter(prefix="/v1/prompts", tags=["generations"])

Ctx = Annotated[Context, Depends(context_of)]
#: Prompts that one reply shows.
MAX_SHOWN: Final = 1_000


class Template(BaseModel):
    """`POST /v1/prompts/expand`."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(description="With groups: `a {red|blue} car`, `{1..5}`.")
    limit: int = Field(default=100, ge=1, le=MAX_SHOWN, description="Prompts of the reply at most.")


class PromptsBody(BaseModel):
    """What a dynamic prompt stands for."""

    object: Literal["expansion"]
    count: int = Field(description="How many prompts it stands for; 9007199254740991 is that many or more.")
    prompts: list[str] = Field(description="The first `limit`, in their order.")
    truncated: bool = Field(description="Whether there are more.")


@router.post(
    "/expand",
    summary="See what a dynamic prompt stands for",
    responses={200: {"model": PromptsBody}, **problems(400, 401, 413, 422)},
)
async def expand(template: Template) -> JSONResponse:
    """Every combination of a prompt's groups, and how many there are; nothing is ordered. A prompt without
    groups stands for itself."""
    count, prompts = first(template.prompt, template.limit)
    body = {
        "object": "expansion",
        "count": told(count),
        "prompts": prompts,
        "truncated": count > len(prompts),
    }
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


class SimilarBody(BaseModel):
    """A generation that was found."""

    object: Literal["similar_generation"]
    similarity: float = Field(description="Of its prompt, 0 to 1; 1 is the same.")
    generation: GenerationBody


class SimilarPage(BaseModel):
    """The nearest first."""

    object: Literal["list"]
    data: list[SimilarBody]


@router.get(
    "/similar",
    summary="Search generations by what their prompts mean",
    responses={200: {"model": SimilarPage}, **problems(401, 422, 501, 503)},
)
async def similar(
    request: Request,
    context: Ctx,
    prompt: Annotated[str, Query(min_length=1, max_length=10_000, description="What to look for.")],
    limit: Annotated[int, Query(ge=1, description="Entries at most.")] = 10,
    min_similarity: Annotated[
        float, Query(ge=0, le=1, allow_inf_nan=False, description="1 is the same prompt.")
    ] = 0.5,
) -> JSONResponse:
    """The generations with pictures that stand whose prompts are most similar, the nearest first."""
    check_limit(limit, context.settings.max_page)
    base_url = context.base_url(request)
    found = await context.similar.search(context.account_id, prompt, limit, min_similarity)
    data = [
        {
            "object": "similar_generation",
            "similarity": similarity,
            "generation": await context.envelopes.generation(generation_id, context.account_id, base_url),
        }
        for generation_id, similarity in found
    ]
    return JSONResponse({"object": "list", "data": data}, headers={"Cache-Control": "no-store"})
