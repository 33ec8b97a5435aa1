"""Loaders, text encoding and sampling."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from ferrotype.sim import pixels
from ferrotype.sim.pixels import Picture

from .base import Context, Input, Latent, Node, Result, integer, number, seed

SAMPLERS = [
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2",
    "dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_sde_gpu",
    "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_3m_sde", "ddpm", "lcm", "ddim", "uni_pc",
    "uni_pc_bh2",
]  # fmt: skip
SCHEDULERS = [
    "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic",
    "kl_optimal",
]  # fmt: skip


async def _load_checkpoint(context: Context, ckpt_name: str) -> Result:
    return Result((ckpt_name, ckpt_name, ckpt_name))


async def _load_lora(
    context: Context, model: str, clip: str, lora_name: str, strength_model: float, strength_clip: float
) -> Result:
    return Result((f"{model}+{lora_name}:{strength_model}", f"{clip}+{lora_name}:{strength_clip}"))


async def _load_lora_model(context: Context, model: str, lora_name: str, strength_model: float) -> Result:
    return Result((f"{model}+{lora_name}:{strength_model}",))


async def _load_unet(context: Context, unet_name: str, weight_dtype: str) -> Result:
    return Result((unet_name,))


async def _load_clip(context: Context, clip_name: str, type: str, device: str = "default") -> Result:
    return Result((clip_name,))


async def _load_two_clips(
    context: Context, clip_name1: str, clip_name2: str, type: str, device: str = "default"
) -> Result:
    return Result((f"{clip_name1}+{clip_name2}",))


async def _load_vae(context: Context, vae_name: str) -> Result:
    return Result((vae_name,))


async def _encode_text(context: Context, text: str, clip: str) -> Result:
    return Result((f"{clip}|{text}",))


async def _guide(context: Context, conditioning: str, guidance: float) -> Result:
    return Result((f"{conditioning}|guidance {guidance}",))


async def _zero(context: Context, conditioning: str) -> Result:
    return Result(("",))


async def _sample(
    context: Context,
    model: str,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: str,
    negative: str,
    latent_image: Latent,
    denoise: float,
) -> Result:
    total = context.script.steps or steps
    recipe = [model, seed, steps, cfg, sampler_name, scheduler, positive, negative]
    painted = await asyncio.to_thread(_paint_batch, recipe, latent_image, denoise)
    for value in range(1, total + 1):
        await context.step(value, total, await _preview(context, painted[0], value / total))
    return Result((Latent(latent_image.width, latent_image.height, painted),))


async def _sample_advanced(
    context: Context,
    model: str,
    add_noise: str,
    noise_seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: str,
    negative: str,
    latent_image: Latent,
    start_at_step: int,
    end_at_step: int,
    return_with_leftover_noise: str,
) -> Result:
    last = min(end_at_step, steps)
    share = max(0.0, (last - start_at_step) / steps)
    return await _sample(
        context, model, noise_seed, max(1, last - start_at_step), cfg, sampler_name, scheduler, positive,
        negative, latent_image, share,
    )  # fmt: skip


def _paint_batch(recipe: list[Any], latent: Latent, denoise: float) -> tuple[Picture, ...]:
    painted = []
    for index, source in enumerate(latent.pictures):
        key = json.dumps([*recipe, index]).encode()
        picture = pixels.paint(key, latent.width, latent.height)
        if source is not None:
            blended = pixels.blend(pixels.rgb(source), picture, denoise)
            picture = (
                blended if latent.mask is None else pixels.blend(pixels.rgb(source), blended, latent.mask)
            )
        painted.append(picture.copy_memory())
    return tuple(painted)


async def _preview(context: Context, picture: Picture, share: float) -> tuple[str, bytes] | None:
    form = context.script.preview
    if form == "none":
        return None
    grey = pixels.solid(picture.width, picture.height, (128, 128, 128))
    return form, await asyncio.to_thread(lambda: pixels.preview(pixels.blend(grey, picture, share), form))


_SAMPLING = {
    "cfg": number(8.0, 0.0, 100.0, 0.1, round=0.01),
    "sampler_name": Input(SAMPLERS),
    "scheduler": Input(SCHEDULERS),
    "positive": Input("CONDITIONING"),
    "negative": Input("CONDITIONING"),
    "latent_image": Input("LATENT"),
}
_CLIP_TYPES = ["stable_diffusion", "stable_cascade", "sd3", "flux", "hidream", "qwen_image"]
_DEVICE = Input(["default", "cpu"], {"advanced": True}, required=False)
_STRENGTH = number(1.0, -100.0, 100.0)

NODES = [
    Node(
        "CheckpointLoaderSimple",
        "loaders",
        {
            "ckpt_name": Input(
                lambda script, _: script.checkpoints,
                {"tooltip": "The name of the checkpoint (model) to load."},
            )
        },
        ("MODEL", "CLIP", "VAE"),
        _load_checkpoint,
    ),
    Node(
        "LoraLoader",
        "loaders",
        {
            "model": Input("MODEL"),
            "clip": Input("CLIP"),
            "lora_name": Input(lambda script, _: script.loras),
            "strength_model": _STRENGTH,
            "strength_clip": _STRENGTH,
        },
        ("MODEL", "CLIP"),
        _load_lora,
    ),
    Node(
        "LoraLoaderModelOnly",
        "loaders",
        {
            "model": Input("MODEL"),
            "lora_name": Input(lambda script, _: script.loras),
            "strength_model": _STRENGTH,
        },
        ("MODEL",),
        _load_lora_model,
    ),
    Node(
        "UNETLoader",
        "advanced/loaders",
        {
            "unet_name": Input(lambda script, _: script.diffusion_models),
            "weight_dtype": Input(["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"]),
        },
        ("MODEL",),
        _load_unet,
    ),
    Node(
        "CLIPLoader",
        "advanced/loaders",
        {
            "clip_name": Input(lambda script, _: script.text_encoders),
            "type": Input(_CLIP_TYPES),
            "device": _DEVICE,
        },
        ("CLIP",),
        _load_clip,
    ),
    Node(
        "DualCLIPLoader",
        "advanced/loaders",
        {
            "clip_name1": Input(lambda script, _: script.text_encoders),
            "clip_name2": Input(lambda script, _: script.text_encoders),
            "type": Input(["sdxl", "sd3", "flux", "hunyuan_video", "hidream"]),
            "device": _DEVICE,
        },
        ("CLIP",),
        _load_two_clips,
    ),
    Node("VAELoader", "loaders", {"vae_name": Input(lambda script, _: script.vaes)}, ("VAE",), _load_vae),
    Node(
        "CLIPTextEncode",
        "conditioning",
        {"text": Input("STRING", {"multiline": True, "dynamicPrompts": True}), "clip": Input("CLIP")},
        ("CONDITIONING",),
        _encode_text,
    ),
    Node(
        "FluxGuidance",
        "advanced/conditioning/flux",
        {"conditioning": Input("CONDITIONING"), "guidance": number(3.5, 0.0, 100.0, 0.1)},
        ("CONDITIONING",),
        _guide,
    ),
    Node(
        "ConditioningZeroOut",
        "advanced/conditioning",
        {"conditioning": Input("CONDITIONING")},
        ("CONDITIONING",),
        _zero,
    ),
    Node(
        "KSampler",
        "sampling",
        {
            "model": Input("MODEL"),
            "seed": seed(),
            "steps": integer(20, 1, 10000),
            **_SAMPLING,
            "denoise": number(1.0, 0.0, 1.0),
        },
        ("LATENT",),
        _sample,
    ),
    Node(
        "KSamplerAdvanced",
        "sampling",
        {
            "model": Input("MODEL"),
            "add_noise": Input(["enable", "disable"]),
            "noise_seed": seed(),
            "steps": integer(20, 1, 10000),
            **_SAMPLING,
            "start_at_step": integer(0, 0, 10000),
            "end_at_step": integer(10000, 0, 10000),
            "return_with_leftover_noise": Input(["disable", "enable"]),
        },
        ("LATENT",),
        _sample_advanced,
    ),
]
