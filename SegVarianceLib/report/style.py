"""How the page looks: system fonts, light and dark by the reader's setting, colours that colour-blind readers tell apart."""

STRUCTURE_COLOURS = 6
"""Classes ``s0`` to ``s5``; a structure keeps its colour everywhere. Names stand beside, so reuse is no loss."""

_LIGHT = "--s0:#0067a5;--s1:#c8500a;--s2:#00805f;--s3:#b0558c;--s4:#8a6d00;--s5:#3a8fc4"
_DARK = "--s0:#62b2f0;--s1:#ff9457;--s2:#41cda5;--s3:#ec9fcb;--s4:#e6c229;--s5:#a5dcff"

STYLE = f"""
:root {{ color-scheme: light dark; --ink:#1b2430; --quiet:#5c6875; --line:#d9dfe5; --paper:#fff; --box:#f5f7f9; --band:#e9d9a0; --seed:#c79a00; --grey:#9aa5b1; {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink:#e6ebf0; --quiet:#9eabb8; --line:#36414c; --paper:#14191f; --box:#1d242c; --band:#5d5022; --seed:#e8bd3c; --grey:#77828e; {_DARK} }} }}
{"".join(f".s{i} {{ --c: var(--s{i}) }} " for i in range(STRUCTURE_COLOURS))}
.mean {{ --c: var(--ink) }} .other {{ --c: var(--grey) }}
"""
STYLE += (
    """
* { box-sizing: border-box }
body { margin: 0; overflow-wrap: anywhere; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main, header, footer { max-width: 1140px; margin: 0 auto; padding: 0 20px }
header { padding-top: 40px } header p { color: var(--quiet); margin: 4px 0 0 }
h1 { font-size: 30px; line-height: 1.2; margin: 0; letter-spacing: -.01em }
h2 { font-size: 21px; margin: 48px 0 8px; letter-spacing: -.005em }
h3 { font-size: 17px; margin: 26px 0 6px } h4 { font-size: 14px; margin: 12px 0 4px }
h4[class^=s]::before, h4.mean::before { content: ""; display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 7px; background: var(--c) }
p { margin: 6px 0 10px; max-width: 76ch } .note, .read, footer { color: var(--quiet) } .note, footer { font-size: 14px }
.cards { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 250px), 1fr)); margin: 18px 0 }
.card { background: var(--box); border: 1px solid var(--line); border-radius: 8px; padding: 16px 18px }
.card .number { font-size: 27px; line-height: 1.15; font-weight: 600; letter-spacing: -.02em; font-variant-numeric: tabular-nums }
.card .what { color: var(--quiet); font-size: 14px; margin: 2px 0 8px } .card p { font-size: 15px; margin: 0 }
.verdict { background: var(--box); border: 1px solid var(--line); border-left: 5px solid var(--v); border-radius: 8px; padding: 18px 22px; margin: 18px 0; display: grid; gap: 10px 34px; grid-template-columns: minmax(0, 1fr) minmax(0, 380px) }
.verdict h3 { font-size: 23px; line-height: 1.25; margin: 0 0 4px } .verdict .number { font-size: 19px; font-weight: 600; font-variant-numeric: tabular-nums } .verdict .what { color: var(--quiet); font-size: 14px; margin: 0 0 12px }
.verdict.better { --v: var(--s2) } .verdict.equivalent { --v: var(--s0) } .verdict.maybe { --v: var(--seed) } .verdict.open { --v: var(--grey) }
.said p { margin: 6px 0 0; font-size: 15px } .verdict > div > .what:first-child { margin: 0 } .verdict > figure { margin-top: 20px } .verdict > figure .note { font-size: 13px; margin: 4px 0 } .how { margin: 0 0 10px } .how summary { font-size: 13px } .how p { font-size: 14px; color: var(--quiet); margin: 4px 0 4px 14px }
.fitting { max-width: max-content; margin: 10px 0 16px } .with-words p { font-size: 14px; max-width: 420px }
.warning { border-left: 3px solid var(--s1); padding: 2px 0 2px 12px }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 10px 0 } dt { color: var(--quiet) } dd { margin: 0 }
.grid { display: grid; gap: 22px 26px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)) }
figure { margin: 0 } .wide { margin: 8px 0 22px }
svg.plot { display: block; width: 100%; max-width: 420px; height: auto; overflow: visible }
svg.plot text { font-size: 12px; fill: var(--ink); font-variant-numeric: tabular-nums }
svg.plot text.quiet { fill: var(--quiet) } svg.plot text.best, svg.plot text.strong { font-weight: 650 }
.axis { stroke: var(--quiet); stroke-width: 1 } .thin { stroke: var(--c); stroke-width: 1.2; opacity: .55 } .thick { stroke: var(--c); stroke-width: 4; opacity: .45; stroke-linecap: round }
.mark { fill: var(--c); stroke: var(--paper); stroke-width: 1 } .faint { opacity: .55 } .hit { fill: transparent }
g[data-tip]:hover .hit { fill: var(--c); opacity: .08 }
.luck { fill: var(--band); opacity: .75 } .luck-line { stroke: var(--quiet); stroke-width: 1.5; stroke-dasharray: 4 3 } .mean-line { stroke: var(--grey); stroke-width: 1 }
.fill { fill: var(--c) } .plain { fill: var(--grey); opacity: .65 } .whisker { stroke: var(--ink); stroke-width: 1.5; fill: none }
.zone { fill: var(--line); opacity: .7 } .zero-line { stroke: var(--quiet); stroke-width: 1.2 } .span { stroke: var(--c); stroke-width: 2.4 } .dashed { stroke-dasharray: 3 3 }
.curve, .grey-curve { fill: none; stroke: var(--c); stroke-width: 2 } .grey-curve { stroke: var(--grey) } .point { stroke: var(--paper); stroke-width: 1.5 } .curve.point { fill: var(--c) } .grey-curve.point { fill: var(--grey) }
.dots { stroke: var(--c); stroke-width: 6; stroke-linecap: round; fill: none } .dots.many { stroke-width: 3.5 } rect.hit[data-tip]:hover { fill: var(--c); opacity: .15 }
svg.plot text.halo { stroke: var(--paper); stroke-width: 4; paint-order: stroke }
.share-recipe { fill: var(--s0) } .share-of { fill: var(--box) }
.share-case { fill: var(--quiet) } .share-seed { fill: var(--seed) } .share-rest { fill: var(--line) }
.heat { display: flex; gap: 8px } .heat-box { flex: 1; min-width: 0 } .heat-box img { width: 100%; display: block; image-rendering: pixelated; border-radius: 3px; cursor: crosshair }
.heat-seeds { display: flex; flex-direction: column; justify-content: space-between; font-size: 12px; line-height: 16px; color: var(--quiet); text-align: right; min-width: 38px; max-width: 44px }
.heat-cases { display: flex; justify-content: space-between; margin: 2px 0 0 46px; font-size: 12px; color: var(--quiet); max-width: none }
.legend { font-size: 13px; color: var(--quiet); margin: 2px 0 0 46px } .ramp { width: 120px; height: 10px; vertical-align: middle; border-radius: 2px }
"""
    + f".picture {{ {_DARK}; display: block; width: 100%; height: auto; max-height: 460px; background: #000; border-radius: 6px }}\n"
    + """
.picture path { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round; stroke-linecap: round }
.picture .reference { stroke: #fff; stroke-width: 3.4px; opacity: .8 } .picture .prediction { stroke: var(--c); stroke-width: 1.7px }
.picture .side { fill: #fff; stroke: #000; stroke-width: .16em; paint-order: stroke; font-family: inherit } .case { margin: 14px 0 26px } .case p { font-size: 14px; margin: 4px 0; color: var(--quiet) }
details { margin: 8px 0 14px } summary { cursor: pointer; color: var(--quiet); font-size: 14px } details.table > summary { color: var(--ink); font-size: 15px; padding: 4px 0 } details p { font-size: 14px }
.scroll { overflow: auto; max-height: 520px; border: 1px solid var(--line); border-radius: 6px }
table { border-collapse: collapse; font-size: 13.5px; width: 100% } td, th { padding: 4px 10px; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line) }
th { position: sticky; top: 0; background: var(--box) } td.n { text-align: right; font-variant-numeric: tabular-nums }
button.sort { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0; cursor: pointer } [aria-sort=ascending] button::after { content: " \\25B4" } [aria-sort=descending] button::after { content: " \\25BE" }
#tip { position: fixed; z-index: 9; pointer-events: none; max-width: min(340px, 92vw); background: var(--ink); color: var(--paper); font-size: 13px; line-height: 1.4; padding: 5px 9px; border-radius: 5px; overflow-wrap: anywhere }
#tip[hidden] { display: none } footer { padding: 34px 20px 44px }
@media (max-width: 860px) { .verdict { grid-template-columns: minmax(0, 1fr); padding: 16px } }
@media (max-width: 600px) { .verdict h3 { font-size: 20px } dl { grid-template-columns: 1fr } dd { margin-bottom: 8px } h1 { font-size: 25px } .legend { margin-left: 0 } .ramp { width: 84px } }
@media print { body { font-size: 12px } .scroll { max-height: none; overflow: visible } .card, figure, svg { break-inside: avoid } #tip { display: none } }
.power-cell { fill: var(--c); shape-rendering: crispEdges } .power-line, .power-edge { fill: none; stroke: var(--ink); stroke-width: 2; stroke-linejoin: round } .power-edge { stroke: var(--paper); stroke-width: 4.5 } .power-hand { fill: var(--ink); stroke: var(--paper); stroke-width: 1.5 }
"""
)
