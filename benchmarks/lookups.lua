-- Requests from a file, one a line: path, then name and value of each header, parted by tabs. Starts over at its end.
-- Prints what was measured as JSON behind the word MEASURED.
local requests, at = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local parts = {}
    for part in line:gmatch("[^\t]+") do parts[#parts + 1] = part end
    local headers = {}
    for i = 2, #parts, 2 do headers[parts[i]] = parts[i + 1] end
    requests[#requests + 1] = wrk.format("GET", parts[1], headers)
  end
  -- Runs follow one another: each starts where the last one ended, so that sights of one record do not pile up.
  at = tonumber(args[2])
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'MEASURED {"requests": %d, "duration_us": %d, "p50_us": %.1f, "p99_us": %.1f, "errors": '
      .. '{"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
