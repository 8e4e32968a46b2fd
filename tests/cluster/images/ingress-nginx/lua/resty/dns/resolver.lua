return require("resty.absent")("resty.dns.resolver", { TYPE_A = 1, TYPE_AAAA = 28 })
