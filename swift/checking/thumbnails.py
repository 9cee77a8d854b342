"""Small pictures for the HTML report, with the boxes of the row drawn into them."""

from __future__ import annotations

import base64
import io

from PIL import Image

from swift.chat.codec import Codec
from swift.chat.grounding.write import named, pictures_of, shares
from swift.errors import RowError
from swift.media import load_image
from swift.media.boxes import draw
from swift.types import Conversation, Spot, Text

LONGEST_SIDE = 360
"""Pixels."""
MOST = 4
"""Pictures of one row."""


def thumbnails(sample: Conversation | Text, codec: Codec) -> tuple[str, ...]:
    """The first pictures of a row as data URIs (JPEG), at most 360 pixels wide and high; none where it has none."""
    if isinstance(sample, Text) or codec.media is None:
        return ()
    found = []
    try:
        objects = sample.objects
        places = [] if objects is None else shares(sample, objects, codec)
        names = [] if objects is None else named(objects)
        images = () if objects is None else objects.images
        for number, media in enumerate(pictures_of(sample)[:MOST]):
            small = load_image(media, codec.media.config)
            small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            here = [
                Spot(tuple(value * small.size[axis % 2] for axis, value in enumerate(share)), name)
                for share, name, image in zip(places, names, images, strict=True)
                if image == number
            ]
            found.append(_data_uri(draw(small, here)))
    except RowError:
        pass  # gone since the row was read: the ones before it are shown
    return tuple(found)


def _data_uri(picture: Image.Image) -> str:
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"
