// A driver that says what its test tells it to: GT_FAKE_DRIVER_STATE="version,cuInit's status,devices".
#include <cstdio>
#include <cstdlib>

static int state(int field) {
  int values[3] = {};
  std::sscanf(std::getenv("GT_FAKE_DRIVER_STATE"), "%d,%d,%d", &values[0], &values[1], &values[2]);
  return values[field];
}

#define GT_EXPORT extern "C" __attribute__((visibility("default")))
GT_EXPORT int cuInit(unsigned) { return state(1); }
GT_EXPORT int cuDriverGetVersion(int* version) { return *version = state(0), 0; }
GT_EXPORT int cuDeviceGetCount(int* count) { return *count = state(2), 0; }
