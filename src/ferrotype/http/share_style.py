"""How a share's page looks: light or dark as its reader's system, rows of equal height, no script."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{--page:#f7f6f3;--ink:#1d1c1a;--soft:#65615a;--card:#e9e6e0;--line:#d9d5cd;--focus:#1f5fbf;--row:11rem;
color-scheme:light dark;accent-color:var(--focus)}
@media (prefers-color-scheme:dark){:root{--page:#141413;--ink:#f0eeea;--soft:#a19c93;--card:#23221f;
--line:#34322e;--focus:#8ab4ff}}
@media (min-width:40rem){:root{--row:15rem}}
@media (min-width:90rem){:root{--row:19rem}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;min-height:100vh;min-height:100svh;display:flex;flex-direction:column;background:var(--page);
color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
header,footer,.said{width:100%;max-width:100rem;margin:0 auto;padding:0 clamp(1rem,3vw,2.5rem)}
header{padding-top:clamp(1.25rem,4vh,3rem);padding-bottom:clamp(1rem,2.5vh,1.75rem)}
h1{margin:0;font-size:clamp(1.35rem,1rem + 1.6vw,2.25rem);line-height:1.2;font-weight:650;
letter-spacing:-.015em;overflow-wrap:anywhere;text-wrap:balance}
p{margin:.35rem 0 0}
.soft,footer{color:var(--soft);font-size:.9rem}
main{flex:1;width:100%;max-width:100rem;margin:0 auto;padding:0 clamp(1rem,3vw,2.5rem)}
figure{margin:0;min-width:0}
figure a{display:block;border-radius:.5rem;overflow:hidden;background:var(--card)}
figure a:focus-visible,footer a:focus-visible{outline:3px solid var(--focus);outline-offset:2px}
img{display:block;width:100%;height:auto}
figcaption{margin:.5rem 0 .75rem;font-size:.9rem;color:var(--soft);overflow-wrap:anywhere;
white-space:pre-line}
.many{display:flex;flex-wrap:wrap;gap:clamp(.4rem,.8vw,.75rem);align-content:flex-start;align-items:flex-start}
.many::after{content:"";flex:1000 0 0;min-width:0;height:0}
.one{display:grid;place-items:start center}
@media (min-width:40rem){.one{place-items:center}}
.one figure{display:grid;justify-items:center;max-width:100%}
.one a{max-width:100%}
.one img{width:auto;max-width:100%;max-height:78vh;max-height:78svh}
.one figcaption{max-width:65ch}
footer{margin-top:auto;padding-top:2rem;padding-bottom:1.5rem}
footer a{color:inherit}
footer ul{margin:0 0 .5rem;padding:0;list-style:none}
.said{flex:1;display:grid;place-content:center;text-align:center}
@media print{body{background:#fff;color:#000}}
"""
