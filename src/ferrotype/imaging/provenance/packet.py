"""The XMP packet that says where a picture comes from, and how it joins a packet that is there.

Property names and values: IPTC Photo Metadata Standard 2025.1 (`Iptc4xmpExt`), and the NewsCodes vocabulary
`digitalsourcetype`. There is no date in it: the same facts give the same bytes.
"""

from __future__ import annotations

import re
from typing import Final
from xml.sax.saxutils import quoteattr

VOCABULARY: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
NAMESPACE: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
#: What a JPEG can hold, in bytes.
MAX_PACKET: Final = 65_502
#: Bytes of the prompt, and characters of the model's name, that are written at most: spelled in XML each may
#: become six, and a packet has to fit.
MAX_PROMPT, MAX_SYSTEM = 8192, 200
#: What XML 1.0 cannot hold, in any spelling.
NO_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Our properties where they are in a packet already: as attributes, as elements, as empty elements.
OURS: Final = re.compile(
    rb"\s[\w.-]{1,64}:DigitalSourceType\s*=\s*(?:\"[^\"]*\"|'[^']*')"
    rb"|<([\w.-]{1,64}):DigitalSourceType(?:\s[^<>]*)?(?:/>|>[^<]*</\1:DigitalSourceType\s*>)"
)
END: Final = re.compile(rb"</([\w.-]{1,64}:)?RDF\s*>")


def source_type_uri(source_type: str) -> str:
    """The address of a term of the vocabulary, for the term or the address itself."""
    return source_type if source_type.startswith(VOCABULARY) else VOCABULARY + source_type


def packet(source_type: str | None, *, prompt: str | None = None, system: str | None = None) -> bytes | None:
    """The packet of an asset, in UTF-8; None where nothing is to be said, as of a plain upload.

    `source_type` is a term of IPTC's DigitalSourceType (`trainedAlgorithmicMedia`). `prompt` and `system`,
    the model that made it, are told only with a source type; a prompt is cut at `MAX_PROMPT` bytes.
    """
    if source_type is None:
        return None
    values = {"DigitalSourceType": source_type_uri(source_type)}
    if prompt:
        values["AIPromptInformation"] = prompt.encode(errors="replace")[:MAX_PROMPT].decode(errors="ignore")
    if system:
        values["AISystemUsed"] = system[:MAX_SYSTEM]
    said = "".join(f" Iptc4xmpExt:{name}={_quoted(value)}" for name, value in values.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">'
        f'<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{NAMESPACE}"{said}/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def merged(there: bytes | None, ours: bytes) -> bytes:
    """`ours` within the packet that is there: what others said stays, save the source type, which we know.
    A packet that cannot be read, or is too large to be joined, gives way to ours."""
    if not there:
        return ours
    kept = OURS.sub(b"", there)
    end = END.search(kept)
    if end is None or b"\0" in kept:  # no RDF, or in UTF-16, which only the XMP of sound files uses
        return ours
    start, stop = ours.index(b"<rdf:Description "), ours.index(b"</rdf:RDF>")
    said = ours[start:stop].replace(b"<rdf:Description ", b'<rdf:Description xmlns:rdf="%s" ' % RDF.encode())
    joined = kept[: end.start()] + said + kept[end.start() :]
    return joined if len(joined) <= MAX_PACKET else ours


def _quoted(value: str) -> str:
    """As an attribute. Line breaks are spelled out, or a parser would make spaces of them."""
    return quoteattr(NO_XML.sub("", value), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
