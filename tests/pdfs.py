"""Tiny PDFs written by hand, for the tests of the reader."""

from collections.abc import Sequence

Line = tuple[float, float, float, str]
"""left, bottom and letter size in points, text (Latin letters only)"""


def make_pdf(
    pages: Sequence[Sequence[Line]],
    outline: Sequence[tuple[str, int]] = (),
    *,
    encrypted: bool = False,
) -> bytes:
    """A PDF of US letter pages in Helvetica; `outline` holds (title, page index)."""
    count = len(pages)
    page_ids = [4 + 2 * index for index in range(count)]
    first_item = 4 + 2 * count + 1
    catalog = "<< /Type /Catalog /Pages 2 0 R"
    catalog += f" /Outlines {first_item - 1} 0 R >>" if outline else " >>"
    kids = " ".join(f"{number} 0 R" for number in page_ids)
    objects = [
        catalog,
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, lines in zip(page_ids, pages, strict=True):
        stream = "\n".join(
            f"BT /F1 {size} Tf {left} {bottom} Td ({_escaped(text)}) Tj ET"
            for left, bottom, size, text in lines
        )
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {number + 1} 0 R >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    if outline:
        last = first_item + len(outline) - 1
        objects.append(f"<< /Type /Outlines /First {first_item} 0 R /Last {last} 0 R >>")
        for index, (title, page) in enumerate(outline):
            following = f" /Next {first_item + index + 1} 0 R" if first_item + index < last else ""
            objects.append(
                f"<< /Title ({_escaped(title)}) /Parent {first_item - 1} 0 R{following} "
                f"/Dest [{page_ids[page]} 0 R /Fit] >>"
            )
    return _file(objects, encrypted)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _file(objects: Sequence[str], encrypted: bool) -> bytes:
    body = b"%PDF-1.4\n"
    places: list[int] = []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    trailer = f"<< /Size {len(objects) + 1} /Root 1 0 R"
    if encrypted:
        key = "41" * 32
        trailer += f" /Encrypt << /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >>"
        trailer += f" /ID [<{key}> <{key}>]"
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n{trailer} >>\n"
    return body + f"{end}startxref\n{len(body)}\n%%EOF\n".encode()
