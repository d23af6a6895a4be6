/* SPDX-License-Identifier: ISC */
/*
 * See ledger.h: a pool of records, two hash tables of chains through it, doubly linked lists.
 */
#include "vmm/tlbsan/ledger.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 1024

static uint32_t
hash(const struct ledger *l, uint64_t address, unsigned level)
{
	uint64_t h = ((address >> 12) + ((uint64_t)level << 50)) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(h >> 32) & l->mask;
}

static unsigned
list_of(const struct oblig *o)
{
	if (o->kind == OBLIG_HARD)
		return o->cpu;
	return o->kind == OBLIG_TABLE ? LIST_TABLE : LIST_OPT;
}

static void
chain(struct ledger *l, uint32_t i)
{
	struct oblig *o = &l->at[i];
	uint32_t *frame = &l->by_frame[hash(l, o->frame, 0)];

	o->frame_next = *frame;
	*frame = i;
	if (o->kind != OBLIG_TABLE) {
		uint32_t *va = &l->by_va[hash(l, o->va, o->level)];

		o->va_next = *va;
		*va = i;
	}
}

/* Twice the records; every chain anew. */
static bool
grow(struct ledger *l)
{
	uint32_t cap = l->cap ? 2 * l->cap : FIRST_CAP;
	struct oblig *at = realloc(l->at, cap * sizeof(*at));
	uint32_t *va, *frame;

	if (at == NULL)
		return false;
	l->at = at;
	va = calloc(cap, sizeof(*va));
	frame = calloc(cap, sizeof(*frame));
	if (va == NULL || frame == NULL) {
		free(va);
		free(frame);
		return false;
	}
	free(l->by_va);
	free(l->by_frame);
	l->by_va = va;
	l->by_frame = frame;
	l->cap = cap;
	l->mask = cap - 1;
	for (unsigned list = 0; list < NLISTS; list++) {
		for (uint32_t i = l->head[list]; i != 0; i = l->at[i].next)
			chain(l, i);
	}
	return true;
}

bool
ledger_init(struct ledger *l)
{
	memset(l, 0, sizeof(*l));
	l->top = 1;
	return grow(l);
}

void
ledger_free(struct ledger *l)
{
	free(l->at);
	free(l->by_va);
	free(l->by_frame);
	memset(l, 0, sizeof(*l));
}

static void
enlist(struct ledger *l, uint32_t i)
{
	struct oblig *o = &l->at[i];
	unsigned list = list_of(o);

	o->next = 0;
	o->prev = l->tail[list];
	if (o->prev != 0)
		l->at[o->prev].next = i;
	else
		l->head[list] = i;
	l->tail[list] = i;
	l->hard += o->kind == OBLIG_HARD;
}

static void
delist(struct ledger *l, uint32_t i)
{
	struct oblig *o = &l->at[i];
	unsigned list = list_of(o);

	if (o->prev != 0)
		l->at[o->prev].next = o->next;
	else
		l->head[list] = o->next;
	if (o->next != 0)
		l->at[o->next].prev = o->prev;
	else
		l->tail[list] = o->prev;
	l->hard -= o->kind == OBLIG_HARD;
}

uint32_t
ledger_add(struct ledger *l, enum oblig_kind kind, unsigned cpu, uint64_t va, unsigned level,
    uint64_t frame)
{
	uint32_t i = l->free;
	struct oblig *o;

	if (i != 0)
		l->free = l->at[i].next;
	else if (l->top < l->cap || grow(l))
		i = l->top++;
	else
		return 0;
	o = &l->at[i];
	memset(o, 0, sizeof(*o));
	o->kind = (uint8_t)kind;
	o->cpu = (uint16_t)cpu;
	o->va = va;
	o->level = (uint8_t)level;
	o->frame = frame;
	o->due_rule = TLB_NRULES;
	enlist(l, i);
	chain(l, i);
	l->large += kind != OBLIG_TABLE && level > 1;
	if (++l->used > l->peak)
		l->peak = l->used;
	return i;
}

void
ledger_drop(struct ledger *l, uint32_t i)
{
	struct oblig *o = &l->at[i];
	uint32_t *p;

	delist(l, i);
	for (p = &l->by_frame[hash(l, o->frame, 0)]; *p != i;)
		p = &l->at[*p].frame_next;
	*p = o->frame_next;
	if (o->kind != OBLIG_TABLE) {
		for (p = &l->by_va[hash(l, o->va, o->level)]; *p != i;)
			p = &l->at[*p].va_next;
		*p = o->va_next;
		l->large -= o->level > 1;
	}
	o->next = l->free;
	l->free = i;
	l->used--;
}

void
ledger_turn(struct ledger *l, uint32_t i, enum oblig_kind kind)
{
	delist(l, i);
	l->at[i].kind = (uint8_t)kind;
	enlist(l, i);
}

static uint32_t
fit_va(const struct ledger *l, uint32_t i, uint64_t va, unsigned level)
{
	while (i != 0 && (l->at[i].va != va || l->at[i].level != level))
		i = l->at[i].va_next;
	return i;
}

uint32_t
ledger_va(const struct ledger *l, uint64_t va, unsigned level)
{
	return fit_va(l, l->by_va[hash(l, va, level)], va, level);
}

uint32_t
ledger_va_next(const struct ledger *l, uint32_t i)
{
	return fit_va(l, l->at[i].va_next, l->at[i].va, l->at[i].level);
}

static uint32_t
fit_frame(const struct ledger *l, uint32_t i, uint64_t frame)
{
	while (i != 0 && l->at[i].frame != frame)
		i = l->at[i].frame_next;
	return i;
}

uint32_t
ledger_frame(const struct ledger *l, uint64_t frame)
{
	return fit_frame(l, l->by_frame[hash(l, frame, 0)], frame);
}

uint32_t
ledger_frame_next(const struct ledger *l, uint32_t i)
{
	return fit_frame(l, l->at[i].frame_next, l->at[i].frame);
}
