"""The last events of a watch: the files that a history entry names, then Finished."""

from __future__ import annotations

from collections.abc import Iterator

from ferrotype.domain.problems import Problem, ProviderFailed
from ferrotype.providers.base import AttemptRequest, Finished, Output, Progress, WatchEvent
from ferrotype.providers.comfyui.origins import Origins
from ferrotype.providers.comfyui.outputs import HistoryEntry
from ferrotype.providers.comfyui.run import Run
from ferrotype.providers.workflows.graph import WEBSOCKET_SAVER, class_of, picture_size


def results(
    entry: HistoryEntry, run: Run, request: AttemptRequest, sent: int, origins: Origins
) -> Iterator[WatchEvent]:
    """`sent` pictures came by websocket and were handed out already.

    Raises ProviderFailed or ProviderInterrupted as the entry says, and ProviderFailed when there is no
    picture at all.
    """
    failure = entry.failure()
    if failure is not None:
        raise failure
    # Previews that a workflow keeps on the side are no result where there is a real one.
    files = entry.pictures("output") or ([] if sent else entry.pictures("temp"))
    lost = _lost(entry, run)
    if not files and not sent:
        raise ProviderFailed(lost or f"The workflow made no picture{_instead(entry)}.")
    if run.progress.fraction < 1:
        yield Progress(1.0)
    for index, file in enumerate(files, start=sent):
        width, height = picture_size(entry.graph, file.node) or (None, None)
        yield Output(
            index,
            origin=origins.make(file.path),
            content_type=file.content_type,
            seed=request.seed if index == 0 else None,
            width=width,
            height=height,
        )
    yield Finished(_missing(entry, run, request, sent + len(files), lost), entry.seconds())


def _missing(
    entry: HistoryEntry, run: Run, request: AttemptRequest, count: int, lost: str | None
) -> Problem | None:
    partial = run.partial or entry.refused_nodes()
    if partial is not None:
        return partial
    if lost is not None:
        return ProviderFailed(lost)
    if count < request.num_images:
        return ProviderFailed(f"ComfyUI made {count} of {request.num_images} pictures.")
    return None


def _lost(entry: HistoryEntry, run: Run) -> str | None:
    """Pictures sent by websocket are nowhere else: what was sent while nobody listened is gone."""
    nodes = [node for node in entry.graph if class_of(entry.graph, node) == WEBSOCKET_SAVER]
    expected = max(run.expected, sum(entry.ran(node) for node in nodes))
    if run.received >= expected:
        return None
    return f"{expected - run.received} pictures sent by websocket were lost with the connection."


def _instead(entry: HistoryEntry) -> str:
    other = entry.other_outputs()
    return f", only {other}" if other else ""
