#include "bench/load/ws.h"
const struct mode mode_login = {.name = "login"};
