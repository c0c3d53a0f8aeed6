-- Sends the request files named on the command line in turn; prints the figures as one line of JSON.

local requests, turn = {}, 0

function init(args)
   for i = 1, #args do
      local file = assert(io.open(args[i], "rb"))
      requests[i] = file:read("*a")
      file:close()
   end
end

function request()
   turn = turn % #requests + 1
   return requests[turn]
end

function done(summary, latency, _)
   local e = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "seconds": %.6f, "bytes": %d, "p50": %.3f, "p99": %.3f, "status": %d, "socket": %d}\n',
      summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3, e.status, e.connect + e.read + e.write + e.timeout))
end
