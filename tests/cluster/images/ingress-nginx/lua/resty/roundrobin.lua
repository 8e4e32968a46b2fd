-- Smooth weighted round robin with the interface of lua-resty-balancer's resty.roundrobin.
local _M = {}
local mt = { __index = _M }

function _M.new(_, nodes)
  local self = setmetatable({}, mt)
  self:reinit(nodes)
  return self
end

function _M.reinit(self, nodes)
  self.weight, self.credit, self.total = {}, {}, 0
  for id, weight in pairs(nodes) do
    self.weight[id] = weight
    -- Random, so that the worker processes do not all begin with the same server.
    self.credit[id] = math.random() * weight
    self.total = self.total + weight
  end
end

function _M.find(self)
  local best
  for id, weight in pairs(self.weight) do
    self.credit[id] = self.credit[id] + weight
    if best == nil or self.credit[id] > self.credit[best] then
      best = id
    end
  end
  if best ~= nil then
    self.credit[best] = self.credit[best] - self.total
  end
  return best
end

_M.next = _M.find

return _M
