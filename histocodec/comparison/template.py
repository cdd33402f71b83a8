"""The frame and the style of the page that a comparison is written as."""

STYLE = """
:root { --ink: #1f2933; --faint: #626d78; --line: #d6dce2; --ground: #f5f7f9; --red: #b00024; --green: #1c6b3c; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 40px; max-width: 900px; background: white; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0; font-size: 30px; line-height: 1.2; font-weight: 650; letter-spacing: -.01em; }
h2 { margin: 40px 0 12px; font-size: 18px; font-weight: 650; }
p { margin: 0; }
.eyebrow { color: var(--faint); font-size: 13px; letter-spacing: .04em; }
.names { margin: 6px 0 24px; color: var(--faint); overflow-wrap: anywhere; }
.box { margin: 0 0 10px; padding: 10px 14px; border-left: 4px solid; background: var(--ground);
  overflow-wrap: anywhere; }
.notice, .failed { border-color: var(--red); }
.failed strong, .notice strong { color: var(--red); }
.passed { border-color: var(--green); }
.passed strong { color: var(--green); }
.cards { display: grid; grid-template-columns: repeat(5, 1fr); margin: 24px 0 0; border-top: 1px solid var(--line);
  border-bottom: 1px solid var(--line); }
.cards p { padding: 14px 12px; color: var(--faint); font-size: 13px; line-height: 1.35; }
.cards p + p { border-left: 1px solid var(--line); }
.cards b { display: block; margin-bottom: 2px; color: var(--ink); font-size: 21px; font-weight: 600;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 7px 10px; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; }
thead th { color: var(--faint); font-size: 13px; border-bottom: 2px solid var(--line); }
th[scope=row] { white-space: nowrap; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
sub { line-height: 0; }
thead .n { white-space: normal; }
.meaning { width: 54%; color: var(--faint); font-size: 13px; }
.blocks { font-size: 13px; }
.blocks td { padding: 4px 10px; }
.small { margin-top: 8px; color: var(--faint); font-size: 13px; }
code { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
figure { margin: 0; border: 1px solid var(--line); }
figure img { display: block; width: 100%; height: auto; }
.square { margin: 0 0 18px; break-inside: avoid; }
.square p { margin: 0 0 4px; font-variant-numeric: tabular-nums; }
.square b { display: inline-block; min-width: 1.6em; }
.pixels { display: flex; gap: 12px; overflow-x: auto; }
.pixels span { display: block; color: var(--faint); font-size: 13px; }
.pixels img { display: block; max-width: none; image-rendering: pixelated; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 0; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
ol { margin: 0; padding-left: 22px; overflow-wrap: anywhere; }
footer { margin-top: 48px; padding-top: 12px; border-top: 1px solid var(--line); color: var(--faint); font-size: 13px;
  overflow-wrap: anywhere; }
@media (max-width: 700px) { body { padding: 20px; } .cards { grid-template-columns: repeat(2, 1fr); } }
@media print { body { padding: 0; max-width: none; font-size: 10.5pt; } h2 { break-after: avoid; }
  tr, img, .box, .cards { break-inside: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
@page { margin: 16mm; }
"""
"""The style sheet, for screens of any width and for paper."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
"""The page, to be formatted with `title`, `style` and `body`. Its policy forbids scripts and content from elsewhere."""
