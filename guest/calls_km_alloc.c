/* SPDX-License-Identifier: ISC */
/*
 * The km_alloc(9) calls.
 */
#include <machine/kva.h>
#include "guest/calls.h"
#include "uvm/km_alloc.h"

static const struct kmem_va_mode *const kv_modes[] = {
#define X(name) &kv_##name,
	BED_KV_MODES(X)
#undef X
};
static const struct kmem_pa_mode *const kp_modes[] = {
#define X(name) &kp_##name,
	BED_KP_MODES(X)
#undef X
};
static const struct kmem_dyn_mode *const kd_modes[] = {
#define X(name) &kd_##name,
	BED_KD_MODES(X)
#undef X
};

uint64_t
call_km_alloc(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	if (arg[1] >= nitems(kv_modes) || arg[2] >= nitems(kp_modes) || arg[3] >= nitems(kd_modes))
		return 0;
	return kva_to_host(
	    (vaddr_t)km_alloc(arg[0], kv_modes[arg[1]], kp_modes[arg[2]], kd_modes[arg[3]]));
}

uint64_t
call_km_free(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	if (arg[2] < nitems(kv_modes) && arg[3] < nitems(kp_modes))
		km_free((void *)kva_from_host(arg[0]), arg[1], kv_modes[arg[2]], kp_modes[arg[3]]);
	return 0;
}
