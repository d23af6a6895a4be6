/* SPDX-License-Identifier: ISC */
/*
 * Several vCPUs, each on a thread of its own: starting one without a start-up interrupt, and making it come
 * back from wherever it is.
 *
 * A kick is two things: kvm_run.immediate_exit, so that the next KVM_RUN returns at once, and a signal,
 * so that one that is already inside returns. The handler does nothing.
 */
#include "vmm/kvm/hv_priv.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static int
signal_number(void)
{
	return SIGRTMAX - 4;
}

static void
on_signal(int sig)
{
	(void)sig;
}

static void
setup(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigemptyset(&sa.sa_mask);
	sigaction(signal_number(), &sa, NULL);
}

void
hv_thread_signals(void)
{
	static const int kept[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGABRT, SIGTRAP };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		sigdelset(&set, kept[i]);
	sigdelset(&set, signal_number());
	pthread_sigmask(SIG_SETMASK, &set, NULL);
}

bool
hv_cpu_ready(struct hv_cpu *cpu, struct bed_err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };

	pthread_once(&once, setup);
	return hv_ioctl(cpu->fd, KVM_SET_MP_STATE, &state) == 0 ||
	       bed_fail(
		   err, BED_E_HOST, "KVM_SET_MP_STATE on vCPU %u: %s", cpu->id, strerror(errno));
}

void
hv_cpu_kick(struct hv_cpu *cpu, pthread_t runner)
{
	__atomic_store_n(&cpu->kicked, true, __ATOMIC_SEQ_CST);
	__atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(runner, signal_number());
}

void
hv_cpu_unkick(struct hv_cpu *cpu)
{
	__atomic_store_n(&cpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&cpu->kicked, false, __ATOMIC_SEQ_CST);
}

bool
hv_cpu_halted(struct hv_cpu *cpu)
{
	struct kvm_mp_state state = { 0 };

	return hv_ioctl(cpu->fd, KVM_GET_MP_STATE, &state) == 0 &&
	       state.mp_state == KVM_MP_STATE_HALTED;
}

bool
hv_cpu_run_kicked(struct hv_cpu *cpu, struct hv_exit *e, struct bed_err *err)
{
	int r, error;

	do {
		r = ioctl(cpu->fd, KVM_RUN, NULL);
		error = errno;
		if (r == -1 && __atomic_load_n(&cpu->kicked, __ATOMIC_SEQ_CST)) {
			memset(e, 0, sizeof(*e));
			e->kind = HV_EXIT_KICKED;
			cpu->io_pending = false;
			return true;
		}
	} while (r == -1 && (error == EINTR || error == EAGAIN));
	cpu->exits++;
	if (r == -1)
		return hv_run_failed(cpu, error, err);
	hv_exit_decode(cpu->run, e);
	cpu->io_pending =
	    e->kind == HV_EXIT_OUT || e->kind == HV_EXIT_IN || e->kind == HV_EXIT_MMIO;
	return true;
}
