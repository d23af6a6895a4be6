/* SPDX-License-Identifier: ISC */
/*
 * See shadow.h: a hash table of pages.
 */
#include "vmm/tlbsan/shadow.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 256

static struct shadow_page **
bucket(const struct shadow *s, uint64_t pa)
{
	uint64_t h = (pa >> BED_PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15);

	return &s->bucket[(h >> 32) & (s->nbucket - 1)];
}

bool
shadow_init(struct shadow *s)
{
	memset(s, 0, sizeof(*s));
	s->nbucket = FIRST_BUCKETS;
	s->bucket = calloc(s->nbucket, sizeof(*s->bucket));
	return s->bucket != NULL;
}

void
shadow_free(struct shadow *s)
{
	for (size_t i = 0; i < s->nbucket && s->bucket != NULL; i++) {
		for (struct shadow_page *p = s->bucket[i], *next; p != NULL; p = next) {
			next = p->next;
			free(p);
		}
	}
	free(s->bucket);
	memset(s, 0, sizeof(*s));
}

struct shadow_page *
shadow_find(struct shadow *s, uint64_t pa)
{
	struct shadow_page *p = s->last;

	if (p != NULL && p->pa == pa)
		return p;
	for (p = *bucket(s, pa); p != NULL && p->pa != pa;)
		p = p->next;
	if (p != NULL)
		s->last = p;
	return p;
}

/* More buckets if there is memory for them; it works without. */
static void
spread(struct shadow *s)
{
	struct shadow old = *s;

	s->nbucket = 2 * old.nbucket;
	s->bucket = calloc(s->nbucket, sizeof(*s->bucket));
	if (s->bucket == NULL) {
		*s = old;
		return;
	}
	for (size_t i = 0; i < old.nbucket; i++) {
		for (struct shadow_page *p = old.bucket[i], *next; p != NULL; p = next) {
			struct shadow_page **to = bucket(s, p->pa);

			next = p->next;
			p->next = *to;
			*to = p;
		}
	}
	free(old.bucket);
}

struct shadow_page *
shadow_make(struct shadow *s, uint64_t pa)
{
	struct shadow_page *p = shadow_find(s, pa), **to;

	if (p != NULL)
		return p;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	if (s->npage == s->nbucket)
		spread(s);
	p->pa = pa;
	to = bucket(s, pa);
	p->next = *to;
	*to = p;
	s->npage++;
	return p;
}

void
shadow_drop(struct shadow *s, struct shadow_page *page)
{
	struct shadow_page **p = bucket(s, page->pa);

	while (*p != page)
		p = &(*p)->next;
	*p = page->next;
	if (s->last == page)
		s->last = NULL;
	s->npage--;
	free(page);
}
