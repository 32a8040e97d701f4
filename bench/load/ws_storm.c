#include "bench/load/ws.h"
const struct mode mode_storm = {.name = "storm"};
