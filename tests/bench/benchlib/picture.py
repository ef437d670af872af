"""Pictures in SVG. They are drawn on white, so that they can be read on light and on dark pages alike."""

import dataclasses
import html

INK, FAINT, GRID = "#24292f", "#656d76", "#d8dee4"
OURS, THEIRS, LIMIT = "#1f6feb", "#9aa4af", "#d0a215"


def canvas(width, height, *elements):
    """A whole picture."""
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" rx="6" fill="white"/>', *elements, "</svg>"]) + "\n"


def text(x, y, words, anchor="start", colour=INK, size=12, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}" '
            f'font-weight="{weight}">{html.escape(words)}</text>')


@dataclasses.dataclass(frozen=True)
class Row:
    """A panel for each figure beside each other, and in each a bar for each arm."""

    title: str
    # Medians by what the arm is called on the page.
    arms: dict


def bars(title, rows, panels):
    """One row below the other; each panel has a scale of its own, since the cases differ too much. `panels` are captions by figure."""
    names = max(len(name) for row in rows for name in row.arms) * 6.8 + 32
    panel, line, values = (250, 22, 80) if len(panels) < 3 else (150, 22, 80)
    out, y = [text(16, 28, title, size=16, weight="bold")], 56
    for row in rows:
        if row.title:
            out.append(text(16, y, row.title, weight="bold"))
            y += 20
        for number, (key, caption) in enumerate(panels.items()):
            x = names + number * (panel + values)
            out.append(text(x, y, caption, colour=FAINT))
            out += panel_of(row, key, x, y + 8, panel, line)
        out += [text(names - 8, y + 8 + line * at + 15, name, "end", weight="bold" if name.startswith("Postern") else "normal")
                for at, name in enumerate(row.arms)]
        y += 8 + line * len(row.arms) + 34
    return canvas(round(names + len(panels) * (panel + values)), y - 12, *out)


def panel_of(row, key, x, y, width, line):
    values = {name: shown(name, value, key) for name, value in row.arms.items()}
    most = max(values.values()) or 1
    yield f'<path d="M{x:.1f} {y}v{line * len(row.arms)}" stroke="{GRID}"/>'
    for at, (name, value) in enumerate(values.items()):
        top = y + line * at + 3
        if not value:
            yield text(x + 6, top + 12, "–", colour=FAINT)
            continue
        length = max(value / most * width, 1)
        yield f'<rect x="{x:.1f}" y="{top}" width="{length:.1f}" height="{line - 6}" rx="2" fill="{colour(name, values)}"/>'
        yield text(x + length + 6, top + 12, f"{value:,.0f}" if value >= 10 else f"{value:.2g}")


def colour(name, names):
    """The gate's stands out among others; where all are gates nobody does."""
    if name.startswith("generator"):
        return LIMIT
    return OURS if name.startswith("Postern") or not any(other.startswith("Postern") for other in names) else THEIRS


def shown(name, value, key):
    """A median; where no server is, the CPU is that of generator and sink."""
    if key == "cpu_us_per_message" and name.startswith("generator"):
        return value.get("generator_us_per_message", 0) + value.get("sink_us_per_message", 0)
    return value[key]
