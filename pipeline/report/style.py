"""The style sheet of report.html, which goes after that of `pages.pieces`."""

# Okabe and Ito's colours (2008), for any colour vision; dashes and marks tell lines apart, too.
STYLE = """
:root { --c0: #0072B2; --c1: #D55E00; --c2: #009E73; --c3: #CC79A7; --heat: 0 114 178; }
@media (prefers-color-scheme: dark) { :root { --c0: #56B4E9; --c1: #E69F00; --c2: #009E73;
  --c3: #CC79A7; --heat: 86 180 233; } }
body { max-width: 66rem; }
.notes { border-left: 4px solid var(--c1); padding: .1rem 1rem; background: var(--soft); }
@media (min-width: 50rem) { .charts.two svg:not(.swatch) { font-size: 11px; } }
.key { display: inline-block; max-width: 100%; overflow-wrap: anywhere; margin-right: .8rem; }
.swatch { width: 2rem; height: .75rem; margin-right: .3rem; vertical-align: middle; }
.mark { stroke: none; }
.s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); stroke-dasharray: 7 3; }
.s2 { stroke: var(--c2); stroke-dasharray: 2 3; }
.s3 { stroke: var(--c3); stroke-dasharray: 9 3 2 3; }
.real { stroke: var(--ink); stroke-dasharray: 4 4; }
circle.s0, .mark.s0 { fill: var(--c0); stroke: none; } circle.s1, .mark.s1 { fill: var(--c1); }
.mark.s2 { fill: var(--c2); } .mark.s3 { fill: var(--c3); }
.prompt { margin: 1.4rem 0 .5rem; padding-left: .8rem; border-left: 4px solid var(--c0);
  font-weight: 600; white-space: pre-wrap; overflow-wrap: anywhere; }
.meanings { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
.meanings dt { font-weight: 600; } .meanings dd { margin: 0; }
.asked { font-size: 1.05rem; } .asked b { font-weight: 600; }
.bar { width: 9rem; height: .8rem; display: block; margin-top: .35rem; }
.bar rect { fill: var(--c0); }
.matrix td, .matrix th { overflow-wrap: normal; white-space: nowrap; }
.matrix td { text-align: right; min-width: 3rem; padding: .3rem .6rem; }
.matrix th { padding-right: .6rem; }
.matrix thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left;
  padding: .2rem .3rem .6rem; }
 .matrix .tag { color: inherit; }
.numbers td.words { text-align: left; white-space: normal; min-width: 8rem; }
table.verdicts th:last-child { text-align: left; }
figure.narrow { max-width: 28rem; }
""" + "\n".join(f".q{i} {{ background: rgb(var(--heat) / {i / 20:.2f}); }}" for i in range(11))
STYLE += """
.browse form { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: end; }
.browse label { color: var(--faint); font-size: .85rem; min-width: 0; max-width: 100%; }
.browse input, .browse select { display: block; max-width: 100%; box-sizing: border-box; }
.browse input, .browse select, .browse button { font: inherit; font-size: 1rem;
  padding: .3rem .6rem; color: inherit; background: var(--soft); border: 1px solid var(--line);
  border-radius: .4rem; }
.browse button { cursor: pointer; } .browse button[aria-disabled=true] { color: var(--faint);
  cursor: default; }
.browse :focus-visible { outline: 2px solid var(--c0); outline-offset: 1px; }
.browse .found { margin: .8rem 0; } .browse nav { margin: 1rem 0; }
.browse [hidden] { display: none; }
.entries.augment { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
.entry { min-width: 0; } .entries.augment .side { height: 100%; }
.interval { stroke: var(--c0); stroke-width: 3; }
.zero { stroke: var(--ink); stroke-dasharray: 3 3; }
.dot { fill: var(--c0); }
.over { paint-order: stroke; stroke: var(--page); stroke-width: 4; }
"""
