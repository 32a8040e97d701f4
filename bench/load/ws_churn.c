#include "bench/load/ws.h"
const struct mode mode_churn = {.name = "churn"};
