"""Draws how precise filled labels are against what was asked for, from the table in docs/labels.md.

python3 tools/fill_figure.py docs/labels.md docs/images/fill_precision.svg
"""
import re
import sys

WIDTH, HEIGHT, LEFT, TOP, SIDE, GAP = 760, 420, 64, 56, 290, 62
LOW, HIGH = 75.0, 100.0
COLORS = {"coco18/linear": "a", "coco18/best": "b"}
DASHES = {"10 %": "2 4", "30 %": "7 4", "50 %": ""}
STYLE = (
    ".page{fill:#ffffff}.ink{fill:#1b1b1b}.grid{stroke:#e3e3e3}.bound{stroke:#8a8a8a}.a{color:#0072b2}.b{color:#d55e00}"
    "@media (prefers-color-scheme:dark){.page{fill:#16181d}.ink{fill:#ececec}.grid{stroke:#33363d}"
    ".bound{stroke:#8a8d94}.a{color:#4da9e0}.b{color:#ff8c42}}"
)


def rows(path):
    """Run, known, asked, right among positives, right among negatives; percent."""
    line = re.compile(r"\| `(coco18/\w+)` \| (\d+ %) \| (\d+) % \|(.*)\|$")
    with open(path) as file:
        for run, known, asked, rest in (match.groups() for match in map(line.match, file) if match):
            cells = [cell.strip() for cell in rest.split("|")]
            yield run, known, float(asked), float(cells[2].rstrip(" %")), float(cells[6].rstrip(" %"))


def panel(left, title, series):
    """A square of asked (x) against right (y), with the line on which they are equal."""
    scale = SIDE / (HIGH - LOW)
    x, y = (lambda value: left + (value - LOW) * scale), (lambda value: TOP + (HIGH - value) * scale)
    parts = [f'<text class="ink" x="{left}" y="{TOP - 14}" font-weight="600">{title}</text>']
    for tick in (75, 80, 85, 90, 95, 100):
        parts.append(f'<line class="grid" x1="{left}" y1="{y(tick):.1f}" x2="{left + SIDE}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text class="ink" x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>')
    for tick in (80, 90, 95, 99):
        parts.append(f'<text class="ink" x="{x(tick):.1f}" y="{TOP + SIDE + 18}" text-anchor="middle">{tick}</text>')
    parts.append(f'<path class="bound" d="M{left} {TOP + SIDE}L{left + SIDE} {TOP}"/>')
    for (run, known), points in series.items():
        path = "L".join(f"{x(asked):.1f} {y(right):.1f}" for asked, right in points)
        parts.append(f'<g class="{COLORS[run]}" stroke="currentColor" fill="none" stroke-width="2">')
        parts.append(f'<path d="M{path}" stroke-dasharray="{DASHES[known]}"/></g>')
        parts += (
            f'<circle class="{COLORS[run]}" cx="{x(asked):.1f}" cy="{y(right):.1f}" r="3" fill="currentColor"/>'
            for asked, right in points
        )
    return parts


def legend(series):
    parts = []
    for place, (run, known) in enumerate(series):
        left, top = LEFT + (place % 3) * 230, HEIGHT - 32 + (place // 3) * 18
        parts.append(
            f'<path class="{COLORS[run]}" stroke="currentColor" stroke-width="2" d="M{left} {top}h28" '
            f'stroke-dasharray="{DASHES[known]}"/><text class="ink" x="{left + 36}" y="{top + 4}">'
            f"{run.removeprefix('coco18/')}, {known} known</text>"
        )
    return parts


def main():
    source, out = sys.argv[1:]
    sides = [{}, {}]
    for run, known, asked, *right in rows(source):
        for side, value in zip(sides, right):
            side.setdefault((run, known), []).append((asked, value))
    assert len(sides[0]) == 6, f"{source}: expected two runs at three proportions"
    about = "Share of the filled labels that is right against the share that was asked for, percent; above the line more."
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-labelledby="title about" font-family="system-ui, sans-serif" font-size="12">',
        f'<title id="title">Precision of filled labels</title><desc id="about">{about}</desc><style>{STYLE}</style>',
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="ink" x="{LEFT}" y="20">Share of the filled labels that is right [%] against the share asked for '
        "[%], coco18</text>",
        *panel(LEFT, "filled as present", sides[0]),
        *panel(LEFT + SIDE + GAP, "filled as absent", sides[1]),
        *legend(sides[0]),
        "</svg>",
    ]
    with open(out, "w") as file:
        file.write("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
