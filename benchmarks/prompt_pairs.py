"""Pairs of prompts for the threshold of similarity: those that one picture may answer, and those that it must
not. Made up for this; short as people type them, and again in the long form that prompts grow to. Those that
were kept aside were not looked at while the rules were made."""

from __future__ import annotations

from typing import Final

Pair = tuple[str, str]

#: What differs -> pairs that ask for the same picture.
SAME: Final[dict[str, list[Pair]]] = {
    "put otherwise": [
        ("a fox under the moon", "a fox beneath the moon"),
        ("a red sports car on a mountain road", "a red sports car driving along a mountain road"),
        ("portrait of an old fisherman, oil painting", "oil painting of an old fisherman, portrait"),
        ("a cozy cabin in a snowy forest at night", "a cosy cabin in a snowy forest by night"),
        ("photo of a cat sleeping on a sofa", "a photograph of a sleeping cat on a couch"),
        ("an astronaut riding a horse on mars", "astronaut on a horse on Mars"),
        ("a bowl of ramen with an egg, top view", "top-down view of a bowl of ramen with egg"),
        ("minimalist logo of a mountain", "a minimalist mountain logo"),
        ("sunset over the ocean with sailing boats", "sailing boats on the ocean at sunset"),
        ("a futuristic city with flying cars", "futuristic city, flying cars"),
    ],
    "spelling, small words, order of phrases": [
        ("A fox under the moon", "a fox under the moon."),
        ("fox under moon", "a fox under the moon"),
        ("a fox, oil painting, highly detailed", "a fox, highly detailed, oil painting"),
        ("photo of a cat on the sofa", "photo of a cat on a sofa"),
        ("a castle on a hill , dramatic light", "a castle on a hill, dramatic light"),
        ("portrait of a woman; soft light", "portrait of the woman, soft light"),
    ],
    "words of quality": [
        ("a fox under the moon", "a fox under the moon, highly detailed"),
        ("a castle on a hill, dramatic lighting", "a castle on a hill"),
        ("portrait of a woman, sharp focus", "portrait of a woman, sharp focus, masterpiece"),
        ("a boat on a lake, beautiful", "a boat on a lake, gorgeous"),
    ],
    "kept aside": [
        ("a small boat on a calm lake", "a little boat on a calm lake"),
        ("photo of a dog playing in the snow", "a photo of a dog playing in snow"),
        ("a robot reading a book", "robot reading a book"),
        ("an old bridge over a river, watercolour", "an old bridge over the river, watercolour"),
        ("a man walking in the rain", "man walking in rain"),
        ("a kid flying a kite", "a child flying a kite"),
        ("a vintage car, side view, studio light", "a vintage car, studio light, side view"),
        ("a skyscraper at night", "a high-rise building at night"),
    ],
}
#: What differs -> pairs that ask for different pictures.
OTHER: Final[dict[str, list[Pair]]] = {
    "subject": [
        ("a fox under the moon", "a wolf under the moon"),
        ("a red sports car on a mountain road", "a red bicycle on a mountain road"),
        ("portrait of an old fisherman, oil painting", "portrait of an old king, oil painting"),
        ("photo of a cat sleeping on a sofa", "photo of a dog sleeping on a sofa"),
        ("an astronaut riding a horse on mars", "an astronaut riding a bicycle on mars"),
        ("a castle on a hill", "a lighthouse on a hill"),
        ("portrait of a woman in a cafe", "portrait of a man in a cafe"),
    ],
    "colour": [
        ("a red sports car on a mountain road", "a blue sports car on a mountain road"),
        ("a woman in a green dress", "a woman in a yellow dress"),
        ("a black cat on a white chair", "a white cat on a black chair"),
        ("a purple butterfly on a flower", "an orange butterfly on a flower"),
    ],
    "number": [
        ("two dogs on a beach", "three dogs on a beach"),
        ("a cat on a roof", "five cats on a roof"),
        ("one apple on a table", "two apples on a table"),
        ("a group of 3 people at a table", "a group of 8 people at a table"),
    ],
    "negation": [
        ("a man with a hat", "a man without a hat"),
        ("a street with people", "a street with no people"),
        ("a portrait with glasses", "a portrait, no glasses"),
        ("a garden with flowers", "a garden without any flowers"),
    ],
    "setting or time": [
        ("a fox under the moon", "a fox under the sun"),
        ("a city street by day", "a city street by night"),
        ("a cabin in a snowy forest", "a cabin in a summer meadow"),
        ("a castle on a hill in spring", "a castle on a hill in autumn"),
    ],
    "who does what": [
        ("a dog chasing a cat", "a cat chasing a dog"),
        ("a man painting a woman", "a woman painting a man"),
        ("a small bird on a large elephant", "a large bird on a small elephant"),
    ],
    "style": [
        ("a fox under the moon, oil painting", "a fox under the moon, pixel art"),
        ("portrait of a woman, photo", "portrait of a woman, pencil sketch"),
        ("a castle on a hill, watercolor", "a castle on a hill, 3d render"),
    ],
    "text in the picture": [
        ('a sign that says "open"', 'a sign that says "closed"'),
        ("a birthday card for Anna", "a birthday card for Peter"),
    ],
    "all of it": [
        ("a fox under the moon", "a bowl of ramen with an egg"),
        ("a red sports car on a mountain road", "portrait of an old fisherman"),
    ],
    "subject, not in English": [
        ("ein Fuchs unter dem Mond", "ein Wolf unter dem Mond"),
        ("un renard sous la lune", "un loup sous la lune"),
        ("лиса под луной", "волк под луной"),
        ("月の下の狐", "月の下の猫"),
    ],
    "kept aside": [
        ("a boy eating an apple", "a girl eating an apple"),
        ("a tiger in the jungle", "a lion in the jungle"),
        ("a cup of coffee on a desk", "a cup of tea on a desk"),
        ("an empty classroom with rows of chairs", "a crowded classroom with rows of chairs"),
        ("a happy clown", "a sad clown"),
        ("a train arriving at a station", "a train leaving a station"),
        ("a house on fire", "a house covered in snow"),
        ("portrait of a young man", "portrait of an old man"),
        ("a violin on a piano", "a guitar on a piano"),
        ("a wide street in Paris", "a wide street in Tokyo"),
        ("an open door", "a closed door"),
        ("a woman holding a baby", "a woman holding a puppy"),
        ("a low poly tree", "a photorealistic tree"),
        ("a knight fighting a dragon", "a knight riding a dragon"),
        ("close-up of a bee", "wide shot of a bee"),
        ("the Eiffel Tower at sunrise", "the Eiffel Tower at sunset"),
        ("a ceramic vase with roses", "a ceramic vase with tulips"),
        ("a runner before the race", "a runner after the race"),
        ("a bowl of strawberries", "a bowl of raspberries"),
        ("a wooden table", "a glass table"),
    ],
}
#: What makes a prompt long.
LONG: Final = (
    ", in front of an old wooden house by a lake, golden hour light, shallow depth of field, 35mm film,"
    " highly detailed, soft shadows, muted palette"
)


def pairs(kinds: dict[str, list[Pair]], *, long: bool) -> dict[str, list[Pair]]:
    """The pairs as they are, or each prompt with the same long tail."""
    tail = LONG if long else ""
    return {kind: [(one + tail, other + tail) for one, other in each] for kind, each in kinds.items()}
