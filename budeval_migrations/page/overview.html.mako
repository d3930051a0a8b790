<%!
def when(moment):
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""


def of(line):
    return "" if line.statements_total is None else f"{line.statements_applied}/{line.statements_total}"
%>\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${o.status.database}: migrations</title>
<style>${style | n}</style>
</head>
<body>
<h1>${o.status.database}</h1>
<p id="summary">\
% if o.status.at_head:
<strong class="good">at head</strong>\
% else:
<strong class="pending">${len(o.status.pending)} pending</strong>\
% endif
, ${", ".join(o.status.current) or "base"}</p>
<p class="faint">ClickHouse ${o.status.server_version or "not there yet"}, ${o.status.topology or "single server"}. \
Read ${when(o.made_at)} by budeval-migrations ${o.tool_version}. Times are UTC.</p>
% for notice in o.status.notices:
<p class="notice bad">${notice}</p>
% endfor

<h2>Revisions</h2>
% if rows:
<div class="wide"><table class="graph" id="revisions">
<tr><th></th><th>revision</th><th>state</th><th>checksum</th><th class="spare">executed</th><th class="right spare">ms</th><th class="right spare">statements</th><th class="spare"></th></tr>
% for row in rows:
<% line = states[row.revision] %>\
<tr><td><svg width="${width}" height="${HEIGHT}" role="img" aria-label="${", ".join(o.graph[row.revision].parents) or "base"} → ${row.revision}">\
% for d in paths(row):
<path d="${d}"/>\
% endfor
<circle cx="${x(row.track)}" cy="${HEIGHT // 2}" r="5" class="${line.state.value}"/></svg></td>\
<td>${row.revision}</td><td class="${line.state.value}">${line.state.value}</td><td class="${line.checksum.value}">${"" if line.checksum.value == "none" else line.checksum.value}</td>\
<td class="spare">${when(line.executed_at)}</td><td class="right spare">${"" if line.execution_time_ms is None else line.execution_time_ms}</td>\
<td class="right spare">${of(line)}</td><td class="doc faint spare" title="${o.graph[row.revision].doc}">${o.graph[row.revision].doc}</td></tr>
% endfor
</table></div>
% else:
<p>There are none.</p>
% endif

% if o.hosts:
<h2>Hosts</h2>
<div class="wide"><table id="hosts">
<tr><th>host</th><th class="right">shard</th><th class="right">replica</th><th>is</th></tr>
% for host in o.hosts:
<% found = [d for d in o.differences if d.host == str(host)] %>\
<tr><td>${host}</td><td class="right">${host.shard}</td><td class="right">${host.replica}</td>\
% if found:
<td class="text bad">${"\n".join(f"{d.table} {d.what}".strip() for d in found)}</td></tr>
% else:
<td class="good">in sync with the others</td></tr>
% endif
% endfor
</table></div>
% endif

% if o.drift:
<h2>Drift</h2>
% if o.drift.ok:
<p class="good">The live schema is what the applied revisions yield.</p>
% else:
<div class="wide"><table id="drift">
<tr><th>what</th><th>part</th><th>the revisions yield</th><th>there is</th></tr>
% for d in o.drift.differences:
<tr><td>${d.kind} ${d.name}</td><td>${d.part}</td><td class="text">${"–" if d.before is None else d.before}</td><td class="text">${"–" if d.after is None else d.after}</td></tr>
% endfor
</table></div>
% endif
% for note in o.drift.notes:
<p class="faint">${note}</p>
% endfor
% endif

<h2>Failures</h2>
% if failures:
<div class="wide"><table id="failures">
<tr><th>executed</th><th class="spare">operation</th><th>revision</th><th class="right spare">statements</th><th>error</th></tr>
% for row in failures:
<tr><td>${when(row.executed_at)}</td><td class="spare">${row.operation.value}</td><td>${row.version}</td><td class="right spare">${of(row)}</td><td class="text bad">${row.error_message or ""}</td></tr>
% endfor
</table></div>
% else:
<p>None is recorded.</p>
% endif

<h2>Runs</h2>
% if runs:
<div class="wide"><table id="runs">
<tr><th>began</th><th>operation</th><th class="right">revisions</th><th class="right">ms</th><th>by</th><th></th></tr>
% for run in runs:
<tr><td>${when(run.began)}</td><td>${", ".join(dict.fromkeys(row.operation.value for row in run.attempts))}</td><td class="right">${len(run.attempts)}</td><td class="right">${run.elapsed_ms}</td><td class="text">${run.by}</td>\
<td><svg width="${BAR + 4}" height="14" viewBox="0 0 ${BAR + 4} 14" preserveAspectRatio="none">\
% for at, wide, row in bars(run, longest):
<rect x="${at}" y="1" width="${wide}" height="12" class="${"bad" if row.failed else "good"}"><title>${row.version}: ${row.execution_time_ms} ms</title></rect>\
% endfor
</svg></td></tr>
% endfor
</table></div>
% else:
<p>The ledger is empty.</p>
% endif
</body>
</html>
