"""The stylesheet of all pages. Each page contains it, and the content security policy allows it by its hash.

Colours come in two sets, light and dark. Text has a contrast of at least 4.5:1 against its background in both, and no
state or ending differs by colour alone.
"""

LIGHT = {
    "ground": "#f6f7f8",
    "card": "#ffffff",
    "band": "#eff2f4",
    "line": "#d5dade",
    "edge": "#77828c",
    "text": "#1a2127",
    "quiet": "#525d67",
    "link": "#0b5f8a",
    "ok": "#12693c",
    "ok-back": "#ddf2e5",
    "warning": "#7a4a00",
    "warning-back": "#fdecc8",
    "critical": "#a11414",
    "critical-back": "#fde1df",
    "unknown": "#58349b",
    "unknown-back": "#ebe3fb",
    "completed": "#1a7f4b",
    "closed": "#c2410c",
    "reset": "#b91c1c",
    "turned_away": "#b45309",
    "closed_after_banner": "#8a6100",
    "banner_timeout": "#7c3aed",
    "kexinit_timeout": "#a21caf",
    "connect_timeout": "#4338ca",
    "refused": "#334155",
    "rejected": "#9f1239",
    "unreachable": "#57534e",
    "not_ssh": "#0369a1",
    "protocol_error": "#be185d",
}
DARK = {
    "ground": "#12171b",
    "card": "#1a2126",
    "band": "#222a30",
    "line": "#364149",
    "edge": "#8b98a3",
    "text": "#e6eaed",
    "quiet": "#a6b1ba",
    "link": "#7cc4ec",
    "ok": "#8ee0b0",
    "ok-back": "#143625",
    "warning": "#f7cf7f",
    "warning-back": "#42300a",
    "critical": "#ffb3ab",
    "critical-back": "#4f1917",
    "unknown": "#cfbcfa",
    "unknown-back": "#35255c",
    "completed": "#4ccb86",
    "closed": "#fb8b4b",
    "reset": "#f87171",
    "turned_away": "#f5a524",
    "closed_after_banner": "#d8b94a",
    "banner_timeout": "#b79bff",
    "kexinit_timeout": "#e58af0",
    "connect_timeout": "#96a3ff",
    "refused": "#a9b8ca",
    "rejected": "#fd8ba0",
    "unreachable": "#bdb5ad",
    "not_ssh": "#5cbcf2",
    "protocol_error": "#f58bc0",
}
_STATES = ("ok", "warning", "critical", "unknown")
_ENDINGS = list(LIGHT)[list(LIGHT).index("completed") :]


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


_PALETTE = "".join(
    (
        f":root{{{_variables(LIGHT)}}}\n",
        f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n",
        "".join(f".is-{s}{{--state:var(--{s});--state-back:var(--{s}-back)}}\n" for s in _STATES),
        "".join(f".e-{e}{{--ending:var(--{e})}}\n" for e in _ENDINGS),
    )
)

_PAGE = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif}
header,main{max-width:72rem;margin:0 auto;padding:0 1.25rem}
header{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem;align-items:baseline;padding-top:1rem;padding-bottom:.75rem}
.home{font-weight:650;color:inherit;text-decoration:none}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem}
main{padding-bottom:4rem}
a{color:var(--link);text-underline-offset:.15em}
a:hover{text-decoration-thickness:2px}
:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:2px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.4rem .8rem;z-index:9}
h1{font-size:1.75rem;line-height:1.2;margin:.75rem 0 .25rem;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:1.15rem;line-height:1.3;margin:0 0 .6rem}
p{margin:.4rem 0}
section,.card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1.1rem 1.25rem;
margin:1rem 0;min-width:0}
.quiet,caption,small{color:var(--quiet)}
small{font-size:.86rem}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.88em}
code,.mono,li,dd,p{overflow-wrap:anywhere}
pre{margin:.4rem 0;padding:.6rem .8rem;background:var(--band);border-radius:.4rem;white-space:pre-wrap;
overflow-wrap:anywhere}
ul{margin:.4rem 0;padding-left:1.2rem}
li{margin:.2rem 0}
.badge{display:inline-block;padding:.05rem .55rem;border-radius:1rem;font-size:.86rem;font-weight:600;
white-space:nowrap;color:var(--state,var(--quiet));background:var(--state-back,var(--band));
border:1px solid var(--state,var(--edge))}
"""

_TABLES = """
.scroll{overflow-x:auto;margin:0 -.25rem;padding:0 .25rem}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;padding:0 .75rem .5rem 0;font-size:.92rem}
th,td{text-align:left;vertical-align:top;padding:.45rem .75rem .45rem 0;border-top:1px solid var(--line)}
thead th{border-top:0;white-space:nowrap;color:var(--quiet);font-weight:600;font-size:.86rem}
tbody th{font-weight:500;overflow-wrap:anywhere;min-width:9rem;max-width:20rem}
td.number,td.time{white-space:nowrap;font-variant-numeric:tabular-nums}
td.said{min-width:11rem;overflow-wrap:anywhere}
.recent tbody th{width:17rem}
th small,td small{display:block;overflow-wrap:anywhere}
tbody tr:hover{background:var(--band)}
.handshakes th[scope=row]{min-width:2.2rem;font-variant-numeric:tabular-nums}
.handshakes .said code{display:block;min-width:13rem;max-height:6.5rem;overflow-y:auto}
.handshakes td:not(.said){white-space:nowrap}
.handshakes td.address{white-space:normal;min-width:9rem;overflow-wrap:anywhere}
.count{display:flex;flex-wrap:wrap;gap:.4rem .6rem;align-items:baseline;list-style:none;padding:0;margin:0 0 .75rem}
.count li{margin:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.25rem;margin:0}
dt{color:var(--quiet)}
dd{margin:0;min-width:0}
form{display:flex;flex-wrap:wrap;gap:.75rem 1rem;align-items:end}
.field{display:flex;flex-direction:column;gap:.2rem;min-width:0}
.field:first-child{flex:1 1 16rem}
label{font-size:.92rem;font-weight:500}
.tick{display:flex;gap:.5rem;align-items:center;padding:.55rem 0;font-weight:400}
input[type=text],select,button{font:inherit;color:inherit;background:var(--card);border:1px solid var(--edge);
border-radius:.4rem;padding:.5rem .7rem;min-height:2.75rem;max-width:100%}
input[type=text]{width:100%}
input[type=checkbox]{width:1.15rem;height:1.15rem;margin:0;accent-color:var(--link)}
button{background:var(--link);border-color:var(--link);color:var(--card);font-weight:600;cursor:pointer;
padding:.5rem 1.4rem}
button:hover{text-decoration:underline;text-underline-offset:.2em}
"""

_HISTORY = """
.verdict{border-left:.4rem solid var(--state,var(--edge));margin-top:.5rem}
.verdict h1{margin:.5rem 0 .4rem;font-size:clamp(1.6rem,1.1rem + 2.4vw,2.6rem)}
.verdict h1::first-letter{text-transform:uppercase}
.sure{font-weight:600}
.columns{columns:24rem 2;column-gap:1rem}
.columns section{display:inline-block;vertical-align:top;width:100%;box-sizing:border-box;margin:0 0 1rem}
.columns+section{margin-top:0}
figure{margin:0}
figcaption{color:var(--quiet);font-size:.92rem;margin-bottom:.6rem}
.drawing{display:block;width:100%;overflow:visible;padding:0 122px 0 44px}
.drawing text{fill:var(--text);font-size:12px}
.drawing .small{font-size:11px;fill:var(--quiet);font-variant-numeric:tabular-nums}
.drawing .name{font-weight:600;stroke:var(--card);stroke-width:4px;paint-order:stroke}
.drawing .name.burst{stroke:var(--band)}
.drawing .grid{stroke:var(--line);stroke-width:1}
.drawing .tick-mark{stroke:var(--edge);stroke-width:1}
.drawing .band{fill:var(--band)}
.drawing .bracket{fill:none;stroke:var(--edge);stroke-width:1.5}
.pause{fill:var(--card);stroke:none}
.slash{stroke:var(--edge);stroke-width:1.5}
.phase,.rest{fill:var(--ending,var(--edge))}
.p-connect{fill-opacity:1}
.p-banner{fill-opacity:.68}
.p-kexinit{fill-opacity:.4}
.p-hostkey{fill-opacity:.25}
.p-kex{fill-opacity:.85}
.p-login{fill-opacity:.55}
.rest{fill-opacity:.12}
.whole{fill:none;stroke:var(--ending,var(--edge));stroke-width:1}
.stop{stroke:var(--ending);stroke-width:3}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;list-style:none;padding:0;margin:.75rem 0 0;font-size:.86rem}
.legend li{display:flex;gap:.4rem;align-items:center;margin:0}
.legend svg{flex:none}
.legend .heading{color:var(--quiet);min-width:4.2rem}
.swatch{display:inline-block;vertical-align:-.1em;margin-right:.4rem}
details{margin:1rem 0}
summary{cursor:pointer;color:var(--link)}
@media (max-width:40rem){
body{font-size:15px}
header,main{padding-left:.75rem;padding-right:.75rem}
section,.card{padding:.9rem .8rem}
dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:.5rem}
button{flex:1 1 100%}
.drawing .wide{display:none}
.drawing .small{font-size:10.5px}
.cards,.cards tbody{display:block}
.cards thead{position:absolute;left:-99rem}
.cards tr{display:flex;flex-wrap:wrap;gap:.1rem 1rem;align-items:baseline;padding:.7rem 0;
border-top:1px solid var(--line)}
.cards caption{display:block}
.cards .none{display:none}
.cards th,.cards td{padding:0;border:0}
.cards tbody th{flex:1 1 60%;width:auto;min-width:0;max-width:none}
.cards td.said{flex:1 1 100%}
.cards td.number,.cards td.time{color:var(--quiet);font-size:.86rem}
.fleet .early::before{content:"closed early "}
.fleet .banner::before{content:"banner "}
.recent .module::before{content:"module "}
.recent .number::before{content:"took "}
}
@media print{section,.card{break-inside:avoid}header nav,.skip{display:none}}
"""

_RUNBOOK = """
.runbook p,.runbook li{max-width:50rem}
.runbook ol{margin:.4rem 0;padding-left:1.5rem}
.runbook .scroll{margin:.6rem 0;padding:0}
.runbook pre{margin:0;white-space:pre;overflow-wrap:normal;width:max-content;min-width:100%}
.runbook td{min-width:8rem;overflow-wrap:break-word}
.runbook td code{overflow-wrap:break-word}
"""

STYLESHEET = _PALETTE + _PAGE + _TABLES + _HISTORY + _RUNBOOK
