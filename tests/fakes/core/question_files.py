"""Files of questions, read in the process of the test, which is quicker than in one of its own."""

import asyncio
import io

from PIL import Image

from bot.core.messages import Attachment, ReadFile
from bot.documents import child_reading

GPS_IFD = 0x8825
SECRET = "Ann's garden"


async def read_here(file: Attachment) -> ReadFile:
    """Read a file as `read_in_child` does."""
    (piece,) = await asyncio.to_thread(lambda: list(child_reading._answer({"filename": file.filename}, file.data)))
    return child_reading.build_file(file.filename, piece)


def photograph(width: int = 3000, height: int = 1500) -> bytes:
    """A JPEG that tells where it was taken, that its upper half is red, and that it is to be turned by 90°."""
    picture = Image.new("RGB", (width, height), "blue")
    picture.paste("red", (0, 0, width, height // 2))
    about = Image.Exif()
    about[0x0112] = 6
    about[0x010E] = SECRET
    about.get_ifd(GPS_IFD)[2] = (48.0, 8.0, 15.0)
    saved = io.BytesIO()
    picture.save(saved, "JPEG", exif=about, comment=SECRET.encode())
    return saved.getvalue()
