-- For wrk: posts the body in the file BENCH_BODY with the header lines in BENCH_HEADERS, and reports in JSON.
-- With BENCH_COPIES=n each n requests in a row carry one key of their own, in the place of @KEY@.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
local body = file:read("*a")
file:close()

wrk.method = "POST"
wrk.body = body
for name, value in os.getenv("BENCH_HEADERS"):gmatch("([^:\n]+): ([^\n]*)") do
  wrk.headers[name] = value
end

local copies = tonumber(os.getenv("BENCH_COPIES"))
if copies > 0 then
  local before, after = body:match("^(.*)@KEY@(.*)$")
  local run, sent = os.getenv("BENCH_RUN"), -1
  function request()
    sent = sent + 1
    return wrk.format(nil, nil, nil, before .. run .. "-" .. math.floor(sent / copies) .. after)
  end
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
