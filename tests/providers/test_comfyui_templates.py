"""Workflow templates: what fills them, what breaks them, where they are found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.domain.problems import ProviderRejected
from ferrotype.providers.base import AttemptRequest, InputImage
from ferrotype.providers.workflows import Library, Template, TemplateFault, order
from ferrotype.providers.workflows.templates import with_prefix

ATTEMPT = "0190a3c4-5b6d-7e8f-8a9b-0c1d2e3f4a5b"


def template(**inputs: Any) -> Template:
    return Template.parse("t", "test", json.dumps({"1": {"class_type": "Node", "inputs": inputs}}))


def filled(values: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    result: dict[str, Any] = template(**inputs).fill(values)["1"]["inputs"]
    return result


async def nothing() -> bytes:
    return b""


def image(content_type: str = "image/png", sha256: str = "ab" * 32) -> InputImage:
    return InputImage("asset", content_type, sha256, nothing)


def request(**changes: Any) -> AttemptRequest:
    facts: dict[str, Any] = {
        "attempt_id": ATTEMPT,
        "operation": "generate",
        "target": "txt2img",
        "prompt": "a fox",
        "width": 640,
        "height": 512,
        "seed": 7,
    }
    return AttemptRequest(**(facts | changes))


def test_a_whole_string_placeholder_keeps_the_type_of_its_value() -> None:
    values = {"seed": 2**63, "cfg": 6.5, "prompt": "12", "flag": True}
    assert filled(values, a="{{seed}}", b="{{cfg}}", c="{{prompt}}", d="{{ flag }}") == {
        "a": 2**63,
        "b": 6.5,
        "c": "12",
        "d": True,
    }


def test_inside_text_a_value_is_written_out() -> None:
    values = {"prompt": "a fox", "seed": 7}
    assert filled(values, a="{{prompt}}, masterpiece, no {{seed}}") == {"a": "a fox, masterpiece, no 7"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{steps=20}}", 20),
        ("{{cfg=7.5}}", 7.5),
        ("{{sampler=euler}}", "euler"),
        ("{{name = a b }}", "a b"),
        ("{{tiled=false}}", False),
        ("{{word=}}", ""),
        ("{{list=[1, 2]}}", "[1, 2]"),
    ],
)
def test_a_default_is_used_where_nothing_is_given(text: str, value: object) -> None:
    result = filled({}, a=text)["a"]
    assert result == value
    assert type(result) is type(value)


def test_a_given_value_wins_over_the_default_and_none_counts_as_not_given() -> None:
    assert filled({"steps": 4}, a="{{steps=20}}") == {"a": 4}
    assert filled({"steps": None}, a="{{steps=20}}") == {"a": 20}


def test_a_default_serves_every_place_of_the_same_name() -> None:
    assert filled({}, a="{{steps}}", b="{{steps=20}}") == {"a": 20, "b": 20}


def test_placeholders_that_stay_empty_are_all_named() -> None:
    with pytest.raises(ProviderRejected) as raised:
        filled({"prompt": "x"}, a="{{prompt}}", b="{{checkpoint}}", c="by {{promt}}")
    assert "{{checkpoint}}" in raised.value.detail
    assert "{{promt}}" in raised.value.detail
    assert raised.value.field == "params.checkpoint"


@pytest.mark.parametrize(
    "text", ["{{Prompt}}", "{{a b}}", "{{}}", "{{=3}}", "{{prompt", "{{a{b}}}", "{{{{x}}"]
)
def test_malformed_placeholders_are_refused_when_the_template_is_read(text: str) -> None:
    with pytest.raises(TemplateFault):
        template(a=text)


def test_a_list_cannot_be_smuggled_in_as_a_link() -> None:
    with pytest.raises(TemplateFault, match="no plain value"):
        filled({"cfg": ["1", 0]}, a="{{cfg}}")


HOSTILE = [
    '"}}, "9": {"class_type": "Evil", "inputs": {}}, "x": {"a": "',
    "{{seed}} {{checkpoint}} {{unknown}}",
    "\\u0022 \\ \" ' \n \x00 }} {{",
    "\\1 \\g<0>",
]


@pytest.mark.parametrize("prompt", HOSTILE)
def test_hostile_prompts_stay_text(prompt: str) -> None:
    values = {"prompt": prompt, "seed": 1}
    result = template(a="{{prompt}}", b="x {{prompt}} y", c="{{seed}}").fill(values)
    assert list(result) == ["1"]
    assert result["1"]["inputs"] == {"a": prompt, "b": f"x {prompt} y", "c": 1}
    assert json.loads(json.dumps(result)) == result


@given(st.text())
def test_no_prompt_whatsoever_changes_the_shape(prompt: str) -> None:
    assert filled({"prompt": prompt}, a="{{prompt}}", b="<{{prompt}}>") == {"a": prompt, "b": f"<{prompt}>"}


def test_the_template_itself_is_never_changed() -> None:
    one = template(a="{{prompt}}")
    one.fill({"prompt": "first"})
    assert one.fill({"prompt": "second"})["1"]["inputs"] == {"a": "second"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{not json", "no JSON"),
        ("[]", "not an object"),
        ("{}", "not an object"),
        ('{"nodes": [], "links": []}', "Export (API)"),
        ('{"1": {"inputs": {}}}', "class_type"),
        ('{"1": {"class_type": "A"}}', "no inputs"),
        ('{"1": {"class_type": "A", "inputs": {"x": ["77", 0]}}}', "links to 77"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_api_workflow_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(TemplateFault) as raised:
        Template.parse("t", "test", text)
    assert said in raised.value.detail


def test_every_saving_node_gets_the_prefix_of_the_attempt() -> None:
    def node(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": kind, "inputs": inputs}

    graph = with_prefix(
        {
            "1": node("SaveImage", filename_prefix="ComfyUI"),
            "2": node("SaveImage"),
            "3": node("SaveImage", filename_prefix=["9", 0]),
            "4": node("SaveAnimatedWEBP", filename_prefix="../../evil"),
            "5": node("SaveImage", filename_prefix="mine/PRE"),
            "9": node("Text", text="x"),
        },
        "PRE",
    )
    prefixes = {key: value["inputs"].get("filename_prefix") for key, value in graph.items()}
    assert prefixes == {"1": "PRE", "2": "PRE", "3": "PRE", "4": "PRE", "5": "mine/PRE", "9": None}


SHIPPED = ["img2img", "inpaint", "txt2img", "txt2img_lora", "upscale", "variation"]


def test_the_shipped_templates_are_all_sound() -> None:
    checked = Library().check()
    assert [item.name for item in checked] == SHIPPED
    assert [item.fault for item in checked] == [None] * len(SHIPPED)
    assert "lora_strength" in next(item for item in checked if item.name == "txt2img_lora").placeholders


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_template_is_filled_by_an_order(name: str) -> None:
    found = Library().load(name)
    asked = request(
        params={"checkpoint": "c.safetensors", "lora": "l.safetensors", "steps": 5},
        images=(image(),) if found.image_count else (),
        mask=image() if "mask" in found.placeholders else None,
    )
    order.check_wishes(found, asked)
    graph = found.fill(order.values(asked))
    assert "{{" not in json.dumps(graph)
    saver = next(node for node in graph.values() if node["class_type"] == "SaveImage")
    assert saver["inputs"]["filename_prefix"] == f"ferrotype_{ATTEMPT}"
    sampler = [node["inputs"] for node in graph.values() if node["class_type"] == "KSampler"]
    assert all((inputs["seed"], inputs["steps"]) == (7, 5) for inputs in sampler)


def test_the_order_wins_over_params_and_params_over_options() -> None:
    values = order.values(
        request(
            params={"cfg": 2, "prompt": "other", "filename_prefix": "x", "image_1": "/etc/passwd"},
            options={"cfg": 1, "checkpoint": "c"},
        )
    )
    assert (values["cfg"], values["checkpoint"], values["prompt"]) == (2, "c", "a fox")
    assert values["filename_prefix"] == f"ferrotype_{ATTEMPT}"
    assert "image_1" not in values


def test_input_pictures_are_named_by_their_content() -> None:
    one, two, mask = image(sha256="1" * 64), image("image/jpeg", "2" * 64), image(sha256="3" * 64)
    values = order.values(request(images=(one, two), mask=mask))
    assert values["image"] == values["image_1"] == f"ferrotype_{'1' * 40}.png"
    assert values["image_2"] == f"ferrotype_{'2' * 40}.jpg"
    assert values["mask"] == f"ferrotype_{'3' * 40}.png"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"images": (image(),)}, "images"),
        ({"mask": image()}, "mask"),
        ({"negative_prompt": "blur"}, "negative_prompt"),
        ({"num_images": 2}, "num_images"),
    ],
)
def test_a_wish_that_the_template_would_ignore_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(TemplateFault) as raised:
        order.check_wishes(template(a="{{prompt}}"), request(**changes))
    assert raised.value.field == field


WORKFLOW = '{"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "mine"}}}'


def test_the_users_template_wins_and_is_read_again_when_it_changes(tmp_path: Path) -> None:
    library = Library(str(tmp_path))
    assert library.load("txt2img").source == "shipped with Ferrotype"
    (tmp_path / "txt2img.json").write_text(WORKFLOW)
    assert library.load("txt2img").graph["1"]["inputs"]["filename_prefix"] == "mine"
    (tmp_path / "txt2img.json").write_text(WORKFLOW.replace("mine", "changed"))
    assert library.load("txt2img.json").graph["1"]["inputs"]["filename_prefix"] == "changed"
    (tmp_path / "flux.dev.json").write_text(WORKFLOW)
    assert library.names() == sorted([*SHIPPED, "flux.dev"])


@pytest.mark.parametrize(
    "name", ["../secret", "..", "", "/etc/passwd", "a/b", "a\\b", "..json", "x\0", "x" * 200, "nosuch"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.json").write_text(WORKFLOW)
    folder = tmp_path / "workflows"
    folder.mkdir()
    with pytest.raises(TemplateFault):
        Library(str(folder)).load(name)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(WORKFLOW)
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    library = Library(str(folder))
    assert "link" not in library.names()
    with pytest.raises(TemplateFault, match="no workflow 'link'"):
        library.load("link")


def test_the_doctor_sees_what_is_wrong_with_a_template(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "latin.json").write_bytes(b'{"\xe4": 1}')
    (tmp_path / "huge.json").write_bytes(b" " * (4 * 1024 * 1024 + 1))
    faults = {item.name: item.fault or "" for item in Library(str(tmp_path)).check()}
    assert "no JSON" in faults["broken"]
    assert "UTF-8" in faults["latin"]
    assert "larger" in faults["huge"]
    assert faults["txt2img"] == ""
