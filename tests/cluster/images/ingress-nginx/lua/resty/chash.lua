-- Highest-random-weight hashing with the interface of lua-resty-balancer's resty.chash:
-- a key keeps its server unless that very server goes away. Weights are ignored.
local _M = {}
local mt = { __index = _M }

function _M.new(_, nodes)
  return setmetatable({ nodes = nodes }, mt)
end

function _M.reinit(self, nodes)
  self.nodes = nodes
end

function _M.find(self, key)
  local best, best_score
  for id in pairs(self.nodes) do
    local score = ngx.crc32_long(id .. "\0" .. tostring(key))
    if best == nil or score > best_score then
      best, best_score = id, score
    end
  end
  return best
end

return _M
