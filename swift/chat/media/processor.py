"""The model's own processor, called as inference calls it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swift.chat import reasons
from swift.chat.media.files import processor_of
from swift.config.media import MediaConfig
from swift.errors import DataError, RowError
from swift.media import MediaCache, Video, identity, image_size
from swift.media.limits import fitted, pixel_limits
from swift.types import Illustrated, Media, MediaKind, Tokens

if TYPE_CHECKING:
    from swift.batch import MediaInputs

_ALIGNED = ("token_type_ids", "cross_attention_mask", "position_mask", "images_seq_mask")
"""Endings of names of tensors that run along the tokens."""
_NOT_MEDIA = frozenset({"input_ids", "attention_mask", "labels", "video_metadata"})
_PIXEL_LIMITS = ("max_pixels", "min_pixels")
_MERGED = 1000.0  # frames a second of a video whose own rate is unknown: times are then exact to a millisecond


@dataclass(frozen=True, slots=True)
class Processed:
    """What a processor made of a text with media.

    Attributes:
        ids: Token ids, media expanded.
        tensors: Everything else that the model takes, by name.
    """

    ids: list[int]
    tensors: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class MediaProcessor:
    """A multimodal checkpoint's processor. Picklable: the processor itself is loaded where it is first used.

    Attributes:
        folder: The checkpoint.
        trust_remote_code: Whether its own code may run.
        config: Limits of media, and where they may come from.
        tokens: By kind of media that the model takes: the text that stands for one.
        ids: Token ids that stand for media or parts of them.
        bos: The begin token's text, if there is one.
        sampling_rate: Samples a second of sound.
        fingerprint: Hash of all that decides what becomes of media.
        appends: Whether it puts something of its own behind every text, so that a prompt is not how the text with
            its answer begins.
    """

    folder: Path
    trust_remote_code: bool
    config: MediaConfig
    tokens: Mapping[MediaKind, str]
    ids: frozenset[int]
    bos: str | None
    sampling_rate: int
    fingerprint: str
    appends: bool = False

    def __call__(self, shown: Illustrated) -> Processed:
        """Ids and tensors.

        Raises:
            RowError: A medium cannot be loaded (see `swift.media.reasons`), is of a kind that the model does not take,
                or the processor refuses it.
        """
        for media in shown.media:
            self.require_kind(media)
        arguments = self._arguments(shown)
        processor = processor_of(self.folder, self.trust_remote_code)
        try:
            made = _call(processor, arguments)
        except Exception as error:  # a processor raises errors of any type for media that it cannot use
            detail = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise RowError(reasons.MEDIA_REFUSED, f"the model's processor refuses them: {detail}") from error
        ids = made["input_ids"][0].tolist()
        tensors = {name: made[name] for name in made if name not in _NOT_MEDIA}
        return Processed(ids, tensors)

    def require_kind(self, media: Media) -> None:
        """Make sure that the model takes such media. Raises RowError."""
        if media.kind not in self.tokens:
            raise RowError(reasons.MEDIA_UNSUPPORTED, f"this model takes {', '.join(self.tokens)} and no {media.kind}")

    def settled(self, kinds: Iterable[MediaKind]) -> MediaProcessor:
        """The same, with what is found out by trying it.

        Args:
            kinds: Those for which the chat template has no place: the processor itself may put their tokens in front,
                and then needs no placeholder.
        """
        own = {kind: "" for kind in kinds if self._places_itself(kind)}
        found = replace(self, tokens={**self.tokens, **own})
        return replace(found, appends=any(found._appends(kind) for kind in found.tokens))

    def _appends(self, kind: MediaKind) -> bool:
        from swift.chat.media.samples import drawn_media

        text, longer = (f"{self.tokens[kind]}What is this? {more}" for more in ("", "It is noise."))
        try:
            one, two = (self(Illustrated(each.rstrip(), (drawn_media(kind, 0),))).ids for each in (text, longer))
        except RowError:
            return False
        return two[: len(one)] != one

    def _places_itself(self, kind: MediaKind) -> bool:
        from swift.chat.media.samples import drawn_media

        try:
            ids = self(Illustrated("What is this?", (drawn_media(kind, 0),))).ids
        except RowError:
            return False
        return not self.ids.isdisjoint(ids)

    def identity(self, media: Sequence[Media]) -> str:
        """Hash of which files and bytes these are, at which state."""
        told = "\n".join(identity(item, self.config) for item in media)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def unchanged(self, shown: Illustrated) -> bool:
        """Whether the media are still what they were."""
        try:
            return self.identity(shown.media) == shown.identity
        except RowError:
            return False  # gone, or no longer readable

    def inputs(self, tokens: Tokens) -> MediaInputs | None:
        """What the model gets besides ids for a sequence of the token store; None for text alone.

        Raises:
            DataError: The media are not what they were when the sequence was made.
        """
        if tokens.shown is None:
            return None
        try:
            made = self(tokens.shown)
        except RowError as error:
            raise DataError(
                f"{tokens.origin}: {error.detail} (it was fine when the rows were tokenized)",
                hint="do not change media files while a run needs them",
            ) from error
        length = min(len(made.ids), len(tokens))
        if made.ids[:length] != tokens.ids[:length].tolist():
            raise DataError(
                f"{tokens.origin}: its media are others than when the rows were tokenized",
                hint="start the run again; do not change media files while a run needs them",
            )
        return _media_inputs(made, len(tokens))

    def prompt(self, shown: Illustrated) -> tuple[list[int], MediaInputs]:
        """Ids of a prompt and what it shows.

        Raises:
            RowError: As of calling it.
        """
        made = self(shown)
        return made.ids, _media_inputs(made, len(made.ids))

    def file_size(self, media: Media) -> tuple[int, int]:
        """Width and height in pixels of a picture as its file has it, upright.

        Raises:
            RowError: It cannot be had.
        """
        options = {name: value for name, value in media.options.items() if name not in _PIXEL_LIMITS}
        free = self.config.model_copy(update=dict.fromkeys(_PIXEL_LIMITS))
        return image_size(replace(media, options=options), free)

    def shown_size(self, media: Media) -> tuple[int, int]:
        """Width and height in pixels of a picture as the model sees it, after the processor's own resize.

        Where the processor does not say into how many patches it cuts a picture, it is the size that the processor
        is given.

        Raises:
            RowError: It cannot be had, or the processor refuses it.
        """
        self.require_kind(media)
        given = fitted(*self.file_size(media), pixel_limits(media, self.config))
        return _resized(self.folder, self.trust_remote_code, given)

    def _arguments(self, shown: Illustrated) -> dict[str, Any]:
        """The call as `processor.apply_chat_template(tokenize=True)` makes it, with frames that we have sampled."""
        cache = _cache(self.config.cache_megabytes)
        by_kind: dict[MediaKind, list[Media]] = {"image": [], "video": [], "audio": []}
        for media in shown.media:
            by_kind[media.kind].append(media)
        arguments: dict[str, Any] = {
            "text": [shown.text],
            "return_tensors": "pt",
            "add_special_tokens": self.bos is None or not shown.text.startswith(self.bos),
        }
        if by_kind["image"]:
            arguments["images"] = [[cache.image(media, self.config) for media in by_kind["image"]]]
        if by_kind["video"]:
            videos = [cache.video(media, self.config) for media in by_kind["video"]]
            arguments["videos"] = [[video.frames for video in videos]]
            arguments["video_metadata"] = [[_metadata(video) for video in videos]]
            arguments["do_sample_frames"] = False
            arguments["return_metadata"] = True  # some write the times of frames into the text
        if by_kind["audio"]:
            arguments["audio"] = [cache.audio(media, self.config, self.sampling_rate) for media in by_kind["audio"]]
            arguments["sampling_rate"] = self.sampling_rate
        return arguments


def _call(processor: Any, arguments: dict[str, Any]) -> Any:
    """The processor's answer. Pictures come as one list a text; a few processors want them in one flat list."""
    try:
        return processor(**arguments)
    except Exception as error:  # of any type; the second call tells whether the form of the list was the reason
        if "images" not in arguments:
            raise
        first = error
    try:
        return processor(**{**arguments, "images": arguments["images"][0]})
    except Exception as second:
        raise first from second


def _metadata(video: Video) -> Any:
    from transformers.video_utils import VideoMetadata

    rate = video.source_fps or _MERGED
    return VideoMetadata(
        total_num_frames=video.source_frames,
        fps=rate,
        width=video.frames.shape[2],
        height=video.frames.shape[1],
        duration=video.duration,
        frames_indices=[round(time * rate) for time in video.times.tolist()],
    )


def _media_inputs(made: Processed, length: int) -> MediaInputs:
    """The tensors among what a processor made, as long as the sequence where they run along the tokens.

    What stands behind the tokens that the processor saw is text, which is 0 in all of them.
    """
    import torch
    from torch.nn.functional import pad

    from swift.batch import MediaInputs

    def fitted_to(tensor: torch.Tensor) -> torch.Tensor:
        missing = max(length - tensor.shape[1], 0)
        return pad(tensor[:, :length], [0, 0] * (tensor.ndim - 2) + [0, missing])

    tensors = {name: value for name, value in made.tensors.items() if isinstance(value, torch.Tensor)}
    aligned = frozenset(name for name, value in tensors.items() if _is_aligned(name, value, len(made.ids)))
    whole = {name: fitted_to(value) if name in aligned else value for name, value in tensors.items()}
    return MediaInputs(whole, aligned)


def _is_aligned(name: str, tensor: Any, length: int) -> bool:
    return name.endswith(_ALIGNED) and tensor.ndim >= 2 and tuple(tensor.shape[:2]) == (1, length)


@lru_cache(maxsize=4096)
def _resized(folder: Path, trust_remote_code: bool, size: tuple[int, int]) -> tuple[int, int]:
    """The size to which the processor brings a picture of this size: asked of the processor, with an empty one."""
    from PIL import Image

    image_processor = processor_of(folder, trust_remote_code).image_processor
    try:
        made = image_processor(images=[Image.new("RGB", size)], return_tensors="pt")
    except Exception as error:  # of any type, as above
        detail = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise RowError(reasons.MEDIA_REFUSED, f"the model's processor refuses a picture: {detail}") from error
    patch = image_processor.to_dict().get("patch_size")
    if "image_grid_thw" not in made or not isinstance(patch, int):
        return size
    _, high, wide = made["image_grid_thw"][0].tolist()
    return wide * patch, high * patch


@lru_cache(maxsize=4)
def _cache(megabytes: int) -> MediaCache:
    """This process's decoded media."""
    return MediaCache(megabytes)
