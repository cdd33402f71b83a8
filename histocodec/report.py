"""What a person reads about a file: facts as plain values, and those as aligned text."""

from __future__ import annotations

from .container import Container
from .encode import EncodeReport
from .labels import NOTICE, history_label, quality_label, reconstruction_label
from .manifest import Manifest
from .package import Package


def encode_facts(report: EncodeReport) -> dict[str, object]:
    """What an encode reached."""
    facts: dict[str, object] = {
        "output": str(report.path),
        "bytes": report.size_bytes,
        "ratio to the source file": round(report.ratio_to_source, 2),
        "ratio to 24-bit raw": round(report.ratio_to_raw, 1),
        "bits per full pixel": round(report.bits_per_full_pixel, 4),
        "base": _base(report.manifest),
        "level 0": reconstruction_label(report.manifest),
        **_quality(report.manifest),
    }
    if report.notes:
        facts["notes"] = list(report.notes)
    return facts


def container_facts(container: Container) -> dict[str, object]:
    """What a file holds, from its manifest and its directories alone."""
    manifest = container.manifest
    slide, generator = manifest.slide, manifest.prediction.generator
    area = slide.size[0] * slide.size[1]
    tissue = container.tissue_map
    facts: dict[str, object] = {
        "file": str(container.path),
        "format": f"{manifest.format} {manifest.version}, written by {manifest.software}",
        "tier": manifest.tier,
        "slide": f"{slide.size[0]} x {slide.size[1]} px, {slide.mpp:g} um/px, {slide.vendor}",
        "objective power": slide.objective_power,
        "bytes": container.size_bytes,
        "ratio to the source file": round(slide.source_bytes / container.size_bytes, 2),
        "ratio to 24-bit raw": round(3 * area / container.size_bytes, 1),
        "bits per full pixel": round(8 * container.size_bytes / area, 4),
        "base": _base(manifest),
        "base bytes": container.tile_bytes(0),
        "reduced levels": ", ".join(f"{w} x {h}" for w, h in (level.size for level in manifest.base.levels[1:])) or "-",
        "reduced levels' bytes": sum(container.tile_bytes(level) for level in range(1, len(manifest.base.levels))),
        "tissue": f"{100 * tissue.mean():.0f} % of {tissue.size} blocks",
        "level 0": reconstruction_label(manifest),
        "generator": "embedded" if generator.embedded else "named, not embedded",
        **_quality(manifest),
        "history": history_label(manifest),
        "associated images": ", ".join(manifest.associated) or "-",
        "ICC profile": f"{len(container.icc_profile)} bytes" if container.icc_profile else "-",
        "deidentified": slide.deidentified,
        "properties": f"{len(slide.properties)} of the source's",
        "opens in": "histocodec alone: TIFF readers do not know AVIF"
        if manifest.base.codec == "avif"
        else ("OpenSlide, QuPath, tifffile, at the base's resolution"),
        "notice": NOTICE,
    }
    return facts


def package_facts(package: Package) -> dict[str, object]:
    """What a model package states about itself."""
    card = package.card
    return {
        "digest": package.digest,
        "bytes": len(package.data),
        "scale": card.scale,
        "architecture": f"{card.architecture} {card.hyperparameters}",
        "licence": card.licence,
        **{f"{where}, {what}": value for where, rows in card.measured.items() for what, value in rows.items()},
    }


def render(facts: dict[str, object]) -> str:
    """Aligned `name  value` lines."""
    width = max(map(len, facts), default=0)
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines += [name, *("  " + line for line in render(value).splitlines())]
            continue
        values = value if isinstance(value, list) else [value]
        lines += [f"{name if i == 0 else '':<{width}}  {_text(v)}" for i, v in enumerate(values)]
    return "\n".join(lines)


def _base(manifest: Manifest) -> str:
    base = manifest.base
    width, height = base.levels[0].size
    return f"{width} x {height} px, {manifest.base_mpp:g} um/px, {base.codec} at quality {base.quality:g}"


def _quality(manifest: Manifest) -> dict[str, object]:
    quality = manifest.quality
    if quality is None:
        return {"measured": quality_label(manifest)}
    p, s = quality.psnr_db, quality.ssim
    return {
        "measured": f"{quality.blocks} tissue blocks of {quality.block_size} px, decoded and compared with the source",
        "PSNR dB": f"mean {p.mean:.2f}, 5th percentile {p.percentile_5:.2f}, worst {p.worst:.2f}",
        "SSIM": f"mean {s.mean:.3f}, 5th percentile {s.percentile_5:.3f}, worst {s.worst:.3f}",
        "PSNR dB of bicubic": f"mean {quality.bicubic_psnr_db:.2f}",
    }


def _text(value: object) -> str:
    return "-" if value is None else str(value)
