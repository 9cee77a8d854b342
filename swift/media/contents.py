"""What a file really holds, in words, for messages about one that is not what it should be."""

from __future__ import annotations

_BEGINNINGS = (
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"8BPS", "a Photoshop file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"RIFF", "a RIFF file (sound, AVI or WebP)"),
    (b"ID3", "an MP3 sound"),
    (b"fLaC", "a FLAC sound"),
    (b"OggS", "an Ogg file"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (b"\x89PNG", "a damaged PNG picture"),
    (b"\xff\xd8\xff", "a damaged JPEG picture"),
    (b"GIF8", "a damaged GIF picture"),
)
_HEIF = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")


def kind_of_contents(head: bytes) -> str:
    """What a file with these first bytes seems to be, such as "HTML"; empty if nothing is recognised."""
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head[4:8] == b"ftyp":
        return "HEIF, which Pillow cannot read; convert it" if head[8:12] in _HEIF else "an MP4 file"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in text[:1024]:
        return "HTML, as of a page that says that there is no such thing"
    if b"<svg" in text[:2048]:
        return "SVG, which has no pixels; convert it"
    if text.startswith((b"<?xml", b"<")):
        return "XML"
    if text.startswith((b"{", b"[")):
        return "JSON"
    return "text" if _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    return bool(head) and all((byte >= 32 and byte != 127) or byte in b"\t\r\n\f" for byte in head[:512])
