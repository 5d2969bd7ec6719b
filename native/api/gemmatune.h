/* The only face of the native core: plain C, opaque handles. Every function returns a status; gt_last_error() has the sentence.
 * A handle may be used from any thread, by one call at a time (gt_model_cancel excepted). Pointers are read during the call only. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  GT_OK = 0,
  GT_ARGUMENT = 1,
  GT_SHAPE,
  GT_MEMORY,
  GT_FILE,
  GT_DEVICE,
  GT_CANCELLED,
  GT_INTERNAL,
  GT_RANK, /* another rank was lost, or differs from this one */
} gt_status;

typedef enum { GT_FLOAT32 = 0, GT_BFLOAT16 = 1, GT_FLOAT16 = 2 } gt_dtype; /* float16: files only */
typedef enum { GT_CPU = 0, GT_CUDA = 1, GT_EMULATED = 2 } gt_device;
/* What a training pass keeps for backward: everything; all but what norms and GeGLU make (recomputed, nearly free); only each block's
 * input (gradient checkpointing: every block's forward runs twice). Same bits. */
typedef enum { GT_KEEP_ALL = 0, GT_RECOMPUTE_ELEMENTWISE = 1, GT_RECOMPUTE_BLOCKS = 2 } gt_recompute;
typedef enum { GT_WEIGHT = 0, GT_EXP_AVG = 1, GT_EXP_AVG_SQ = 2, GT_GRADIENT = 3 } gt_part;

typedef struct {
  int64_t vocab_size, hidden_size, num_layers, num_heads, num_kv_heads, head_dim, intermediate_size, sliding_window, max_position_embeddings;
  const uint8_t* full_attention; /* [num_layers] 1 = full, 0 = sliding window */
  double rope_theta, rope_local_theta, rope_factor, rms_norm_eps, query_pre_attn_scalar;
} gt_config;

typedef struct {
  gt_dtype dtype;
  gt_device device;
  int32_t device_index;
  int32_t threads;                /* 0 = one per core */
  int32_t trainable;              /* allocate gradients and AdamW state */
  int32_t master_weights;         /* when trainable: keep float32 masters. 0: bfloat16 weights, gradients and moments, stochastically rounded (cpu) */
  gt_recompute recompute;
} gt_options;

typedef struct {
  const char* name; /* lives as long as the model */
  const int64_t* shape;
  int32_t rank;
  int32_t decay; /* weight decay applies */
  int64_t count;
} gt_parameter;

typedef struct { /* packed sequences; targets[t] is what position t should predict, -100 = not a target */
  const int32_t* tokens;  /* [T] */
  const int32_t* targets; /* [T], may be NULL for generation */
  const int32_t* starts;  /* [S + 1], starts[S] = T */
  int64_t T, S;
} gt_batch;

typedef struct {
  double loss_sum;
  int64_t targets;
  int64_t correct;
  double entropy_sum;
} gt_metrics;

typedef struct {
  double learning_rate, beta1, beta2, epsilon, weight_decay;
  double max_grad_norm; /* 0 = no clipping */
  double divisor;       /* tokens trained on since the last update */
  int64_t step;         /* from 1 */
  uint64_t seed;        /* of the rounding without master weights; with them it changes nothing */
} gt_update;

typedef struct {
  double grad_norm;
  int32_t applied; /* 0: the norm was not finite, weights untouched */
} gt_update_result;

typedef struct {
  int64_t max_new_tokens, batch_size;
  const int32_t* stop_ids;
  int64_t num_stop_ids;
  double temperature, top_p; /* temperature 0 = greedy */
  int64_t top_k;
  uint64_t seed;
} gt_generate_options;

typedef struct {
  int64_t weights, state, activations; /* bytes */
} gt_memory;

typedef struct {
  const char* instruction_set; /* "avx512+amx-bf16": what the CPU kernels use */
  int32_t cores;
  int32_t fast_bfloat16; /* the CPU multiplies bfloat16 in hardware */
  int32_t has_cuda, has_emulated; /* the build has these backends; gt_device_info tells whether there is a device */
} gt_info;

typedef struct {
  char name[256];
  int32_t capability; /* 75 = compute capability 7.5 */
  int32_t path;       /* kernels used: 750 or 800 */
  int32_t multiprocessors;
  int64_t memory, free; /* bytes */
  int32_t driver, runtime; /* CUDA versions as CUDA counts them: 12040 = 12.4 */
} gt_device_description;

typedef struct {
  int64_t bytes[3];  /* by gt_recompute: memory of a training pass over that many tokens and targets */
  int64_t available; /* bytes that passes may use: free on the device, and what passes hold already; 0 = not limited (cpu) */
} gt_plan;

typedef struct { /* what one op took since the times were last taken */
  const char* op;    /* "matmul_forward"; lives as long as the program */
  int64_t calls;
  int64_t launches;  /* of kernels; 0 on the CPU */
  double seconds;
} gt_op_time;

typedef struct {
  int32_t rank, size;
  const char* address;     /* "unix:/fresh-folder/socket" on one machine, or "tcp:host:port", where rank 0 listens */
  const char* run;         /* what the ranks of this run share and others do not know; "" = nothing */
  const char* description; /* of this rank, for the others' errors: "host n1, process 123" */
  double join_timeout;     /* seconds until all ranks must have come */
  double rank_timeout;     /* seconds without a sign of life after which a rank is lost */
} gt_group_options;

typedef struct {
  const char* collectives;     /* "auto" (nccl on cuda, gloo elsewhere), "gloo" or "nccl" */
  gt_dtype wire;               /* of float32 gradients on the link */
  int32_t sharded;             /* each rank trains its slice of the vocabulary, and updates its share of every layer */
} gt_sharing;

typedef struct { /* what sharing has cost so far */
  int64_t collectives, bytes; /* sent by this rank */
  double busy, waited;        /* seconds in which a collective was under way; in which this rank stood still for one */
} gt_traffic;

typedef struct gt_group gt_group; /* the ranks of one run, a process each */
typedef struct gt_model gt_model;

const char* gt_last_error(void); /* of this thread */
void gt_get_info(gt_info* info);
/* GT_DEVICE with the reason where there is none: no such backend in this build, no driver, one too old. Opens no device. */
gt_status gt_device_count(gt_device device, int32_t* count);
/* GT_DEVICE with the reason where it cannot be used: those, an unsupported architecture, no such index. */
gt_status gt_device_info(gt_device device, int32_t index, gt_device_description* description);

/* A group may be used by several threads: gather on one channel by one at a time, gt_group_leave by any. */
gt_status gt_group_create(const gt_group_options* options, gt_group** group);
gt_status gt_group_join(gt_group* group); /* waits for all ranks; GT_RANK names those that have not come */
/* out(context, rank, bytes, n) for every rank's bytes, in order, when all have called. GT_RANK where one is lost, or calls with another `what`. */
typedef void (*gt_gathered)(void* context, int32_t rank, const uint8_t* bytes, int64_t n);
gt_status gt_group_gather(gt_group* group, const char* what, const uint8_t* mine, int64_t bytes, gt_gathered out, void* context);
/* Tells the others that this rank goes, "" = all is done, else why, and ends what waits in this process, join too. */
void gt_group_leave(gt_group* group, const char* reason);
void gt_group_destroy(gt_group* group);

gt_status gt_model_create(const gt_config* config, const gt_options* options, gt_model** model);
void gt_model_destroy(gt_model* model);

int64_t gt_model_parameter_count(const gt_model* model);
gt_status gt_model_parameter(const gt_model* model, int64_t index, gt_parameter* parameter);

/* Files. load: one tensor from `offset` of a file. save: `header` as it is, then every parameter in order, as dtype. */
gt_status gt_model_load(gt_model* model, gt_part part, int64_t index, const char* path, int64_t offset, gt_dtype dtype);
gt_status gt_model_save(gt_model* model, gt_part part, gt_dtype dtype, const char* path, const uint8_t* header, int64_t header_bytes);
gt_status gt_model_initialize(gt_model* model, uint64_t seed, double std);
gt_status gt_model_read(gt_model* model, gt_part part, int64_t index, float* out); /* [count] */

gt_status gt_model_score(gt_model* model, const gt_batch* batch, float* logprobs, gt_metrics* metrics); /* logprobs [T], may be NULL */
/* last: the last pass of an update. In a shared model every rank calls it as often, and gradients are added up during the last pass; batch->T may be 0 there. */
gt_status gt_model_accumulate(gt_model* model, const gt_batch* batch, int32_t last, gt_metrics* metrics);
gt_status gt_model_update(gt_model* model, const gt_update* update, gt_update_result* result);
/* From now on accumulate and update are done together with the other ranks, which must hold the same weights and moments. Collective, once a model.
 * The group must outlive the model. library[64]: "gloo 0.5.0". GT_DEVICE where the library is missing, with what to do. */
gt_status gt_model_share(gt_model* model, gt_group* group, const gt_sharing* sharing, char* library);
/* In a sharded model: every rank's copy of weights and moments is as the owners have it. Collective; wanted before score, generate, save. */
gt_status gt_model_complete_copies(gt_model* model);
gt_status gt_model_checksum(gt_model* model, uint64_t* sum); /* of weights and moments */
gt_status gt_model_traffic(const gt_model* model, gt_traffic* traffic);
gt_status gt_model_discard(gt_model* model); /* the accumulated gradient is zero again */

/* out(context, prompt, ids, n) is called once a prompt when all is done; progress(context, done) as prompts end (may be NULL). */
typedef void (*gt_progress)(void* context, int64_t done);
typedef void (*gt_output)(void* context, int64_t prompt, const int32_t* ids, int64_t n);
gt_status gt_model_generate(gt_model* model, const gt_batch* prompts, const gt_generate_options* options, gt_progress progress, gt_output out, void* context);
/* From any thread: 1 ends a running generate, or one that has yet to get going, with GT_CANCELLED; 0 takes that back. */
void gt_model_cancel(gt_model* model, int32_t cancel);

gt_status gt_model_plan(gt_model* model, int64_t tokens, int64_t targets, gt_plan* plan);
gt_status gt_model_set_recompute(gt_model* model, gt_recompute recompute); /* from the next pass on */
gt_status gt_model_memory(const gt_model* model, gt_memory* memory);

/* Times every op from now on, or no longer. On a GPU ops then wait for each other, so the whole takes longer. */
gt_status gt_model_profile(gt_model* model, int32_t on);
/* out(context, time) for each op called since the last take, in order of first call; nothing unless profiling is on. */
typedef void (*gt_op_times)(void* context, const gt_op_time* time);
gt_status gt_model_take_profile(gt_model* model, gt_op_times out, void* context);

#ifdef __cplusplus
}
#endif
