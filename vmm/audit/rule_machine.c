/* SPDX-License-Identifier: ISC */
/*
 * Rules about the CPU, threads and locks.
 */
#include "vmm/audit/input.h"

#define CR0_MUST (UINT64_C(1) << 0 | UINT64_C(1) << 16 | UINT64_C(1) << 31) /* PE WP PG */
#define CR4_PAE  (UINT64_C(1) << 5)
#define CR4_PGE  (UINT64_C(1) << 7)
#define CR4_LA57 (UINT64_C(1) << 12)
#define EFER_LME (UINT64_C(1) << 8)
#define EFER_LMA (UINT64_C(1) << 10)
#define EFER_NXE (UINT64_C(1) << 11)

bool
audit_registers(struct audit_input *in)
{
	const struct hv_regs *r = &in->src->regs;
	uint64_t efer = EFER_LME | EFER_LMA | (in->src->view.nx ? EFER_NXE : 0);

	if (!in->src->has_regs)
		return true;
	if ((r->cr0 & CR0_MUST) != CR0_MUST)
		return audit_finding(in, "CR0 is %#lx: PE, WP or PG is clear", r->cr0);
	if ((r->cr4 & (CR4_PAE | CR4_PGE | CR4_LA57)) != (CR4_PAE | CR4_PGE))
		return audit_finding(in, "CR4 is %#lx: not PAE, PGE and no LA57", r->cr4);
	if ((r->efer & (EFER_LME | EFER_LMA | EFER_NXE)) != efer)
		return audit_finding(in, "EFER is %#lx", r->efer);
	return true;
}

static const struct thread *
pool(const struct audit_input *in)
{
	return audit_ptr(in, in->sym->thread_pool, audit_nthreads(in) * sizeof(struct thread), 8);
}

/* The thread at a guest address; NULL: none is there. */
static const struct thread *
thread_at(const struct audit_input *in, uint64_t va)
{
	uint64_t off = va - in->sym->thread_pool;
	const struct thread *td = pool(in);

	if (td == NULL || off % sizeof(*td) != 0 || off / sizeof(*td) >= audit_nthreads(in))
		return NULL;
	td += off / sizeof(*td);
	return td->td_state == THREAD_FREE ? NULL : td;
}

/* The data of a CPU; NULL: it cannot be found. */
static const struct cpu_info *
cpu_at(const struct audit_input *in, unsigned id)
{
	const uint64_t *table = audit_ptr(in, in->sym->cpu_table, BED_CPU_MAX * 8, 8);

	return table == NULL ? NULL : AUDIT_AT(in, struct cpu_info, table[id]);
}

/* Does some CPU run the thread in this place of the pool? */
static bool
is_current(const struct audit_input *in, unsigned i)
{
	uint64_t va = in->sym->thread_pool + i * sizeof(struct thread);

	for (unsigned id = 0; id < in->src->boot->ncpu; id++) {
		const struct cpu_info *ci = cpu_at(in, id);

		if (ci != NULL && (uint64_t)ci->ci_curthread == va)
			return true;
	}
	return false;
}

uint64_t
audit_stack_guard(const struct audit_input *in, unsigned i)
{
	const uint64_t stride = BED_PAGE_SIZE + THREAD_STACK_SIZE;
	unsigned other = i - THREAD_CPU0;

	if (i < THREAD_CPU0)
		return in->sym->thread_stacks + i * stride;
	return BED_IMAGE_BASE + in->src->boot->cpu_area +
	       other / THREAD_PER_CPU * (uint64_t)BED_CPU_AREA + AUDIT_AREA_STACKS +
	       other % THREAD_PER_CPU * stride;
}

unsigned
audit_nthreads(const struct audit_input *in)
{
	return THREAD_CPU0 + (in->src->boot->ncpu - 1) * THREAD_PER_CPU;
}

bool
audit_stacks(struct audit_input *in)
{
	const struct thread *td = pool(in);

	if (!in->src->image_stacks)
		return true;
	for (unsigned i = 0; i < audit_nthreads(in) && td != NULL; i++, td++) {
		uint64_t low = audit_stack_guard(in, i) + BED_PAGE_SIZE;
		bool current = is_current(in, i);
		uint64_t sp = current ? in->src->regs.rsp : td->td_ctx.ctx_sp;
		/* Of several CPUs the registers are one's that is not known. */
		bool known = !current || (in->src->has_regs && in->src->boot->ncpu == 1);

		if (td->td_state == THREAD_FREE)
			continue;
		if (td->td_stack_low != low || td->td_stack_high != low + THREAD_STACK_SIZE)
			return audit_finding(in, "thread %u: its stack is %#lx..%#lx, not at %#lx",
			    i, td->td_stack_low, td->td_stack_high, low);
		if (known && (sp < low || sp > low + THREAD_STACK_SIZE))
			return audit_finding(in,
			    "thread %u: its stack pointer %#lx is outside %#lx..%#lx", i, sp, low,
			    low + THREAD_STACK_SIZE);
	}
	return true;
}

static bool
mutex_free(struct audit_input *in, const struct mutex *m, const char *what, const char *name)
{
	return m->mtx_owner == NULL ||
	       audit_finding(in, "%s%s is held by %p", what, name, (void *)m->mtx_owner);
}

bool
audit_mutexes(struct audit_input *in)
{
	for (unsigned id = 0; id < in->src->boot->ncpu; id++) {
		const struct cpu_info *ci = cpu_at(in, id);

		if (ci != NULL && (ci->ci_mutex_level != 0 || ci->ci_idepth != 0))
			return audit_finding(in, "CPU %u: ci_mutex_level is %d, ci_idepth %d", id,
			    ci->ci_mutex_level, ci->ci_idepth);
	}
	for (size_t i = 0; i < in->map.n; i++) {
		if (!mutex_free(in, &in->map.at[i].m->mtx, "the mutex of map ", in->map.at[i].name))
			return false;
	}
	return mutex_free(in, &in->pmr->fpageqlock, "fpageqlock", "") &&
	       mutex_free(in, &in->obj->vmobjlock, "kernel_object's vmobjlock", "") &&
	       mutex_free(in, &in->pmap->pm_mtx, "pm_mtx", "");
}

/* Somebody is in the middle of a call: asleep, or woken and not run yet. */
static unsigned
threads_inside(const struct audit_input *in)
{
	const struct thread *td = pool(in);
	unsigned n = 0;

	for (unsigned i = 0; td != NULL && i < audit_nthreads(in); i++)
		n += td[i].td_state == THREAD_SLEEPING || td[i].td_state == THREAD_RUNNABLE;
	return n;
}

static bool
lock_is_sound(struct audit_input *in, const struct audit_map *map, unsigned inside)
{
	const struct rwlock *l = &map->m->lock;
	uint64_t owner = l->rwl_owner, flags = owner & RWLOCK_FLAGS;
	const struct thread *td = thread_at(in, owner & ~(uint64_t)RWLOCK_FLAGS);

	if (owner == 0)
		return l->rwl_waiters == 0 ||
		       audit_finding(in, "map %s: %d wait for a lock that is free", map->name,
			   l->rwl_waiters);
	if ((flags & RWLOCK_WRLOCK) != 0 && (td == NULL || td->td_state != THREAD_SLEEPING))
		return audit_finding(
		    in, "map %s is locked (%#lx) by no thread that sleeps", map->name, owner);
	if ((flags & RWLOCK_WRLOCK) == 0 && owner / RWLOCK_READ_INCR > inside)
		return audit_finding(in, "map %s has %lu readers, %u threads are in a call",
		    map->name, owner / RWLOCK_READ_INCR, inside);
	return true;
}

bool
audit_map_locks(struct audit_input *in)
{
	unsigned inside = threads_inside(in);

	for (size_t i = 0; i < in->map.n; i++) {
		const struct vm_map *m = in->map.at[i].m;
		bool busy = (m->state & VM_MAP_BUSY) != 0;

		if (!lock_is_sound(in, &in->map.at[i], inside))
			return false;
		if (busy != (m->busy != NULL) ||
		    (busy && thread_at(in, (uint64_t)m->busy) == NULL) ||
		    (!busy && (m->state & VM_MAP_WANTLOCK) != 0))
			return audit_finding(in, "map %s: flags %#x, busy for %p",
			    in->map.at[i].name, m->flags, (void *)m->busy);
	}
	return true;
}

bool
audit_threads(struct audit_input *in)
{
	const struct thread *td = pool(in);

	for (unsigned id = 0; id < in->src->boot->ncpu; id++) {
		const struct cpu_info *ci = cpu_at(in, id);

		if (ci == NULL || ci->ci_id != id)
			return audit_finding(in, "CPU %u is not in cpu_table", id);
		if (thread_at(in, (uint64_t)ci->ci_curthread) == NULL)
			return audit_finding(
			    in, "CPU %u: the current thread is %p", id, (void *)ci->ci_curthread);
		if (ci->ci_run.first != NULL)
			return audit_finding(
			    in, "CPU %u: a thread could run: %p", id, (void *)ci->ci_run.first);
		if (ci->ci_idle != (in->src->boot->ncpu > 1))
			return audit_finding(in, "CPU %u is %sidle", id, ci->ci_idle ? "" : "not ");
	}
	for (unsigned i = 0; td != NULL && i < audit_nthreads(in); i++) {
		bool current = is_current(in, i);

		if ((unsigned)td[i].td_state > THREAD_PARKED ||
		    (td[i].td_state == THREAD_RUNNING) != current)
			return audit_finding(in, "thread %u is in state %u, %s current", i,
			    td[i].td_state, current ? "and" : "and not");
		if (td[i].td_state == THREAD_RUNNABLE)
			return audit_finding(in, "thread %u could run and is on no queue", i);
		if (td[i].td_state == THREAD_SLEEPING && td[i].td_wchan == NULL)
			return audit_finding(in, "thread %u sleeps on nothing", i);
	}
	return true;
}
