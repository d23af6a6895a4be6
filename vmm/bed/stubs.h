/* SPDX-License-Identifier: ISC */
/*
 * One typed function a row of calls.def: bed_uvm_km_alloc(bed, map, size) returns a gva_t, and so on.
 * They assert: see bed_call() in call.h. A second value is bed_result2()'s.
 */
#ifndef VMM_BED_STUBS_H
#define VMM_BED_STUBS_H

#include "vmm/bed/call.h"

#define STUB_TYPE_A_MAP   uint64_t
#define STUB_TYPE_A_VA    gva_t
#define STUB_TYPE_A_PA    gpa_t
#define STUB_TYPE_A_SIZE  uint64_t
#define STUB_TYPE_A_PAGES uint64_t
#define STUB_TYPE_A_INT   uint64_t
#define STUB_TYPE_A_FLAGS uint64_t
#define STUB_TYPE_A_PROT  uint64_t
#define STUB_TYPE_A_VAL   uint64_t

#define STUB_TYPE_A_KV uint64_t
#define STUB_TYPE_A_KP uint64_t
#define STUB_TYPE_A_KD uint64_t

#define STUB_ARG_A_MAP(x)   x
#define STUB_ARG_A_VA(x)    x.v
#define STUB_ARG_A_PA(x)    x.v
#define STUB_ARG_A_SIZE(x)  x
#define STUB_ARG_A_PAGES(x) x
#define STUB_ARG_A_INT(x)   x
#define STUB_ARG_A_FLAGS(x) x
#define STUB_ARG_A_PROT(x)  x
#define STUB_ARG_A_VAL(x)   x
#define STUB_ARG_A_KV(x)    x
#define STUB_ARG_A_KP(x)    x
#define STUB_ARG_A_KD(x)    x

#define STUB_TYPE_R_VOID void
#define STUB_TYPE_R_VA   gva_t
#define STUB_TYPE_R_PA   gpa_t
#define STUB_TYPE_R_ERR  int
#define STUB_TYPE_R_INT  int64_t
#define STUB_TYPE_R_VAL  uint64_t

#define STUB_RESULT_R_VOID(x) (void)(x)
#define STUB_RESULT_R_VA(x)   return GVA(x)
#define STUB_RESULT_R_PA(x)   return GPA(x)
#define STUB_RESULT_R_ERR(x)  return (int)(x)
#define STUB_RESULT_R_INT(x)  return (int64_t)(x)
#define STUB_RESULT_R_VAL(x)  return (x)

#define STUB_PARAMS_0(...)
#define STUB_PARAMS_1(k, n)      , STUB_TYPE_##k n
#define STUB_PARAMS_2(k, n, ...) , STUB_TYPE_##k n STUB_PARAMS_1(__VA_ARGS__)
#define STUB_PARAMS_3(k, n, ...) , STUB_TYPE_##k n STUB_PARAMS_2(__VA_ARGS__)
#define STUB_PARAMS_4(k, n, ...) , STUB_TYPE_##k n STUB_PARAMS_3(__VA_ARGS__)
#define STUB_PARAMS_5(k, n, ...) , STUB_TYPE_##k n STUB_PARAMS_4(__VA_ARGS__)
#define STUB_PARAMS_6(k, n, ...) , STUB_TYPE_##k n STUB_PARAMS_5(__VA_ARGS__)

#define STUB_PARAMS_7(k, n, ...)  , STUB_TYPE_##k n STUB_PARAMS_6(__VA_ARGS__)
#define STUB_PARAMS_8(k, n, ...)  , STUB_TYPE_##k n STUB_PARAMS_7(__VA_ARGS__)
#define STUB_PARAMS_9(k, n, ...)  , STUB_TYPE_##k n STUB_PARAMS_8(__VA_ARGS__)
#define STUB_PARAMS_10(k, n, ...) , STUB_TYPE_##k n STUB_PARAMS_9(__VA_ARGS__)

#define STUB_ARGS_0(...)        0
#define STUB_ARGS_1(k, n)       STUB_ARG_##k(n)
#define STUB_ARGS_2(k, n, ...)  STUB_ARG_##k(n), STUB_ARGS_1(__VA_ARGS__)
#define STUB_ARGS_3(k, n, ...)  STUB_ARG_##k(n), STUB_ARGS_2(__VA_ARGS__)
#define STUB_ARGS_4(k, n, ...)  STUB_ARG_##k(n), STUB_ARGS_3(__VA_ARGS__)
#define STUB_ARGS_5(k, n, ...)  STUB_ARG_##k(n), STUB_ARGS_4(__VA_ARGS__)
#define STUB_ARGS_6(k, n, ...)  STUB_ARG_##k(n), STUB_ARGS_5(__VA_ARGS__)
#define STUB_ARGS_7(k, n, ...)  STUB_ARG_##k(n), STUB_ARGS_6(__VA_ARGS__)
#define STUB_ARGS_8(k, n, ...)  STUB_ARG_##k(n), STUB_ARGS_7(__VA_ARGS__)
#define STUB_ARGS_9(k, n, ...)  STUB_ARG_##k(n), STUB_ARGS_8(__VA_ARGS__)
#define STUB_ARGS_10(k, n, ...) STUB_ARG_##k(n), STUB_ARGS_9(__VA_ARGS__)

#define BED_ROW(id, name, r, nargs, text, ...)                                                   \
	static inline STUB_TYPE_##r bed_##name(struct bed *bed STUB_PARAMS_##nargs(__VA_ARGS__)) \
	{                                                                                        \
		const uint64_t args[] = { STUB_ARGS_##nargs(__VA_ARGS__) };                      \
		STUB_RESULT_##r(bed_call(bed, BED_CALL_##name, args, nargs));                    \
	}
#include "shared/calls_rows.h"
#undef BED_ROW

#endif
