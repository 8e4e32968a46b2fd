return require("resty.absent")("resty.global_throttle")
