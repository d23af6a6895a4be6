/* SPDX-License-Identifier: ISC */
/*
 * See session.h.
 */
#include "vmm/cmd/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
is_operation(const struct trace_line *l)
{
	return l->kind == TRACE_CALL || l->kind == TRACE_EXPECT;
}

/* After each operation: the progress bar, and what the TLB sanitizer has found. */
static bool
after_operation(void *arg, const struct trace_line *l, struct bed_err *err)
{
	struct session *s = arg;

	(void)l;
	s->done++;
	if (s->shown && s->all != 0) {
		fprintf(
		    stderr, "\r  %3u%% %u/%u operations", 100 * s->done / s->all, s->done, s->all);
		if (s->done == s->all)
			fprintf(stderr, "\r\033[K");
		fflush(stderr);
	}
	if ((s->tlb != NULL && !tlbsan_poll(s->tlb, err)) ||
	    (s->audit != NULL && !logaudit_poll(s->audit, err)))
		return false;
	recorder_operation(s->recorder, s->done + 1);
	return true;
}

bool
session_run(struct session *s, const struct trace *trace, const struct bed_config *base,
    const struct session_opts *o)
{
	*s = (struct session){ .config = *base, .shown = cmd_is_terminal() };
	if (trace == NULL)
		return (s->bed = bed_create(&s->config, &s->err)) != NULL;
	for (unsigned i = 0; i < trace->nline; i++)
		s->all += is_operation(&trace->line[i]);
	if (!trace_config(trace, &s->config, &s->err) ||
	    (s->bed = bed_create(&s->config, &s->err)) == NULL ||
	    (s->check = check_new(s->bed, &s->err)) == NULL ||
	    !check_witnesses(s->check, o->witnesses, &s->err) ||
	    (s->recorder = recorder_attach(s->bed, &s->err)) == NULL)
		return false;
	if (s->config.flavour == BED_CHECKED && (o->witnesses & CHECK_TLB) != 0 &&
	    (s->tlb = tlbsan_attach(s->bed, NULL, o->log, &s->err)) == NULL)
		return false;
	if (o->audited && (s->audit = logaudit_attach(s->bed, o->audit, &s->err)) == NULL)
		return false;
	recorder_operation(s->recorder, 1);
	return trace_replay_to(trace, s->bed, s->check, after_operation, s, &s->failure, &s->err);
}

void
session_end(struct session *s)
{
	logaudit_detach(s->audit);
	tlbsan_detach(s->tlb);
	recorder_detach(s->recorder);
	check_free(s->check);
	bed_destroy(s->bed);
	*s = (struct session){ .done = s->done };
}

static void
make_finding(struct session *s, const struct trace *trace, const char *replay, struct finding *f)
{
	char text[TRACE_LINE + 2] = "";
	struct finding_source src = { .bed = s->bed,
		.err = &s->err,
		.check = s->check,
		.tlb = s->tlb,
		.recorder = s->recorder,
		.replay = replay };
	const struct trace_line *l = s->failure.line;
	FILE *out = l == NULL ? NULL : fmemopen(text, sizeof(text), "w");

	if (out != NULL) {
		trace_line_print(l, out);
		fclose(out);
		src.file = trace->file;
		src.text = text;
		src.line = l->number;
		src.operation = s->failure.operation;
	}
	if (s->failure.has_expect)
		src.expect = &s->failure.expect;
	finding_make(f, &src);
}

char *
session_report(struct session *s, const struct trace *trace, const char *replay, json_t **finding)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct finding f;

	*finding = NULL;
	if (out == NULL)
		return NULL;
	if (s->err.class == BED_E_FINDING) {
		make_finding(s, trace, replay, &f);
		finding_print(out, &f);
		*finding = finding_json(&f);
		finding_free(&f);
	} else {
		fprintf(out, "%s\n", s->err.text);
		if (s->err.class == BED_E_GUEST && replay != NULL)
			fprintf(out, "  replay    %s\n", replay);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* A word as a shell reads it back. */
static void
put_word(FILE *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-./=:,+@%";

	if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else
			fputc(*word, out);
	}
	fputc('\'', out);
}

static void
put_size(FILE *out, const char *option, uint64_t value, uint64_t usual)
{
	if (value == usual)
		return;
	if (value != 0 && value % (1 << 20) == 0)
		fprintf(out, " --%s=%" PRIu64 "M", option, value >> 20);
	else
		fprintf(out, " --%s=%" PRIu64, option, value);
}

char *
session_command(const struct bed_config *cfg, const struct session_opts *o, const char *file)
{
	struct bed_config usual;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	bed_config_init(&usual);
	fputs(file != NULL ? "uvmbed replay" : "uvmbed run", out);
	put_size(out, "ram", cfg->ram, usual.ram);
	put_size(out, "kva", cfg->kva_size, usual.kva_size);
	put_size(out, "ptpool", cfg->ptpool, usual.ptpool);
	put_size(out, "flush-threshold", cfg->flush_threshold, usual.flush_threshold);
	put_size(out, "timeout", cfg->timeout_ms, usual.timeout_ms);
	if (cfg->ncpu != usual.ncpu)
		fprintf(out, " --cpus=%u", cfg->ncpu);
	if ((cfg->flags & BED_BOOT_GUARDPAGES) != 0)
		fputs(" --guard", out);
	if (cfg->engine == BED_ENGINE_TWIN)
		fputs(" --engine=twin", out);
	if (cfg->flavour == BED_RELEASE)
		fputs(" --release", out);
	if (cfg->image != NULL) {
		fputs(" --image=", out);
		put_word(out, cfg->image);
	}
	if (o->audited)
		fprintf(out, " --audit=%s", o->audit == LOGAUDIT_STEPS ? "steps" : "tables");
	if (file != NULL) {
		fputc(' ', out);
		if (file[0] == '-')
			fputs("./", out);
		put_word(out, file);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
