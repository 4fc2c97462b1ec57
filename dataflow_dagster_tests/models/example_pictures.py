"""The pictures of ``data/examples``; as a program it draws them anew."""

from pathlib import Path

from PIL import Image, ImageDraw

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"
SIZE = (320, 240)


def cat() -> Image.Image:
    """An orange cat's face on green."""
    picture = Image.new("RGB", SIZE, (120, 170, 110))
    pen = ImageDraw.Draw(picture)
    fur, dark = (224, 142, 52), (50, 35, 20)
    for tip, outer, inner in ((95, 85, 140), (225, 235, 180)):
        pen.polygon([(tip, 30), (outer, 105), (inner, 75)], fill=fur, outline=dark)
    pen.ellipse((80, 60, 240, 210), fill=fur, outline=dark)
    for left in (115, 175):
        pen.ellipse((left, 105, left + 30, 140), fill=(190, 220, 90), outline=dark)
        pen.ellipse((left + 11, 107, left + 19, 138), fill=dark)
    pen.polygon([(150, 155), (170, 155), (160, 167)], fill=(230, 120, 130), outline=dark)
    pen.arc((140, 160, 160, 182), 0, 130, fill=dark, width=2)
    pen.arc((160, 160, 180, 182), 50, 180, fill=dark, width=2)
    for rise in (-10, 2, 14):
        pen.line((60, 165 + rise, 130, 168 + rise // 2), fill=dark)
        pen.line((260, 165 + rise, 190, 168 + rise // 2), fill=dark)
    return picture


def sunset() -> Image.Image:
    """A sun half below the sea."""
    picture = Image.new("RGB", SIZE)
    pen = ImageDraw.Draw(picture)
    for y in range(150):
        pen.line((0, y, SIZE[0], y), fill=(90 + y, 50 + y * 2 // 3, 120 - y // 3))
    pen.ellipse((115, 105, 205, 195), fill=(255, 225, 110))
    for y in range(150, SIZE[1]):
        down = y - 150
        pen.line((0, y, SIZE[0], y), fill=(70 - down // 2, 60 - down // 3, 110 - down // 2))
        if y % 6 < 2:
            pen.line((160 - 45 + down // 3, y, 160 + 45 - down // 3, y), fill=(240, 180, 90))
    return picture


def main() -> None:
    cat().save(EXAMPLES / "cat.jpg", quality=85)
    sunset().save(EXAMPLES / "sunset.png", optimize=True)


if __name__ == "__main__":
    main()
