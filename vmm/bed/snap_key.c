/* SPDX-License-Identifier: ISC */
/*
 * For whom a snapshot is: what goes into the key, and which words a mismatch gets.
 */
#include "vmm/bed/snap.h"
#include "vmm/digest.h"

#include <inttypes.h>
#include <string.h>

/* Of all that ends up in guest memory, and the entry point; not of symbols and debug information. */
static uint64_t
image_digest(const struct image *im)
{
	uint64_t h = bed_digest(im->nseg, &im->entry, sizeof(im->entry));

	for (unsigned i = 0; i < im->nseg; i++) {
		const struct image_seg *s = &im->seg[i];
		const uint64_t shape[] = { s->va, s->pa, s->filesz, s->memsz,
			(uint64_t)s->write << 1 | s->exec };

		h = bed_digest(h, shape, sizeof(shape));
		h = bed_digest(h, im->map + s->offset, s->filesz);
	}
	return h;
}

bool
snap_key_of(const struct bed *bed, struct snap_key *key, struct bed_err *err)
{
	const struct bed_config *cfg = &bed->cfg;

	memset(key, 0, sizeof(*key));
	key->ident = bed->image.ident;
	key->image = image_digest(&bed->image);
	key->ram = cfg->ram;
	key->kva_size = cfg->kva_size;
	key->ptpool = cfg->ptpool;
	key->dma_high = cfg->dma_high;
	key->seed = cfg->seed;
	key->flush_threshold = cfg->flush_threshold;
	key->ncpu = cfg->ncpu;
	key->flags = cfg->flags & ~BED_OVERCOMMIT;
	return hv_model_id(&key->model, err);
}

bool
snap_key_equal(const struct snap_key *want, const struct snap_key *got, struct bed_err *err)
{
	const struct {
		const char *what;
		uint64_t want, got;
	} row[] = {
		{ "another guest image (digest)", want->image, got->image },
		{ "another host: CPU model, kernel or program (id)", want->model, got->model },
		{ "another contract version", want->ident.version, got->ident.version },
		{ "another flavour", want->ident.flavour, got->ident.flavour },
		{ "another amount of RAM", want->ram, got->ram },
		{ "another number of CPUs", want->ncpu, got->ncpu },
		{ "another size of kernel_map", want->kva_size, got->kva_size },
		{ "another page-table pool", want->ptpool, got->ptpool },
		{ "another DMA limit", want->dma_high, got->dma_high },
		{ "another seed", want->seed, got->seed },
		{ "another flush threshold", want->flush_threshold, got->flush_threshold },
		{ "other flags", want->flags, got->flags },
	};

	if (memcmp(want->ident.build_id, got->ident.build_id, BED_ID_LEN) != 0)
		return bed_fail(err, BED_E_INPUT,
		    "it was made for another build: id %.*s, this program and image have %.*s",
		    BED_ID_LEN - 1, got->ident.build_id, BED_ID_LEN - 1, want->ident.build_id);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		if (row[i].want != row[i].got)
			return bed_fail(err, BED_E_INPUT,
			    "it was made for %s: %#" PRIx64 ", wanted is %#" PRIx64, row[i].what,
			    row[i].got, row[i].want);
	return memcmp(want, got, sizeof(*want)) == 0 ||
	       bed_fail(err, BED_E_INPUT, "it was made for another identity");
}
