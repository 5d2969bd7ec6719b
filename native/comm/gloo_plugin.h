// The face of gemmatune_gloo.so, in C: Gloo's own is C++, which cannot be opened at run time. The plug-in links with libgloo; nothing else does.
//
// Functions return 0, or 1 and then write a sentence to `error`, GT_GLOO_ERROR bytes with the zero at its end. No exception crosses this face.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Of what follows. Changes with it.
#define GT_GLOO_VERSION 1
#define GT_GLOO_ERROR 1024

typedef struct gt_gloo gt_gloo;  // a mesh of connections between ranks; for one thread at a time
typedef enum { GT_GLOO_FLOAT32 = 0, GT_GLOO_BFLOAT16, GT_GLOO_FLOAT64, GT_GLOO_INT32 } gt_gloo_type;

// Gives every rank's bytes: calls take(to, rank, data, bytes) for each, in order. Returns 0, or 1 where ranks were lost.
typedef int32_t (*gt_gloo_exchange)(void* context, const char* mine, int64_t bytes, void (*take)(void* to, int32_t rank, const char* data, int64_t bytes), void* to);

typedef struct {
  int32_t version;      // GT_GLOO_VERSION. First, so that it can be read whatever follows
  const char* library;  // Gloo's version: "0.5.0"
  // Collective. Connects by the address `host` of this machine or, if it is not empty, by the network interface of that name. `timeout`: seconds
  // without progress after which every later call fails.
  int32_t (*create)(int32_t rank, int32_t size, const char* host, const char* network_interface, double timeout, gt_gloo_exchange exchange, void* context, gt_gloo** out, char* error);
  // In place, by a ring: bits depend on the number of ranks and the count only.
  int32_t (*all_reduce)(gt_gloo* gloo, void* data, int64_t count, gt_gloo_type type, char* error);
  int32_t (*broadcast)(gt_gloo* gloo, void* data, int64_t bytes, int32_t root, char* error);
  // In place: `parts` holds the bytes of each rank's part, which lie one after the other.
  int32_t (*all_gatherv)(gt_gloo* gloo, void* data, const int64_t* parts, char* error);
  void (*destroy)(gt_gloo* gloo);
} gt_gloo_functions;

__attribute__((visibility("default"))) const gt_gloo_functions* gt_gloo_open(void);

#ifdef __cplusplus
}
#endif
