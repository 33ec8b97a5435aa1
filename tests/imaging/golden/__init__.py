"""Golden pictures: what every kind of source becomes under every kind of transform.

`sources` makes the pictures, `cases` lists what is asked of them, `book` keeps and compares what is expected.
`python -m tests.imaging.golden show` draws all of it on one sheet, `record` writes it anew: look at the sheet
before you commit.
"""
