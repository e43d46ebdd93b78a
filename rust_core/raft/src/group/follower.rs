//! What a leader says to a follower: entries, commit indexes, heartbeat lines (thesis 3.5).

use phantom_base::{LogIndex, ReplicaId, mark};

use super::{Context, Group};
use crate::machine::Act;
use crate::{Body, Contradiction, Entry, Line, LineAnswer, LogRecord, LostWhy, Position, Room};

impl Group {
    pub(super) fn on_append(
        &mut self,
        from: ReplicaId,
        prev: Position,
        commit: LogIndex,
        entries: &[Entry],
        cx: &mut Context<'_>,
    ) {
        if prev.index < self.commit {
            // An old append: all that it can say is settled.
            mark!("append_below_commit");
            let epoch = self.told_epoch(from, true, cx);
            return self.answer(from, Body::Accepted { matched: self.commit, epoch }, cx);
        }
        if self.log.term_at(prev.index) != Some(prev.term) {
            mark!("append_rejected");
            let hint = self.log.last_at_or_below(prev.index, prev.term).unwrap_or_default();
            return self.answer(from, Body::Rejected { prev: prev.index, hint }, cx);
        }
        let matched = entries.last().map_or(prev.index, |entry| entry.index);
        let is_new = |e: &Entry| self.log.term_at(e.index) != Some(e.term);
        if cx.room == Room::None && self.spares_full && entries.iter().any(is_new) {
            // Silence, as if it had never come: what is not kept is not acknowledged.
            mark!("entries_not_taken_for_want_of_room");
            return;
        }
        let commit = self.commit.max(commit.min(matched));
        if let Some(skip) = entries.iter().position(is_new) {
            let news = entries.get(skip..).unwrap_or_default();
            self.append(news, commit, cx);
        }
        self.commit = commit;
        self.too_far_behind = false;
        let epoch = self.told_epoch(from, true, cx);
        self.answer(from, Body::Accepted { matched, epoch }, cx);
    }

    /// Logs entries, the commit index that came with them first (R5).
    pub(super) fn append(&mut self, entries: &[Entry], commit: LogIndex, cx: &mut Context<'_>) {
        let (Some(head), Some(tail)) = (entries.first(), entries.last()) else { return };
        assert!(head.index > self.commit, "{}: {} is committed (R3)", self.gid, head.index);
        assert!(tail.term <= self.term, "{}: {:?} is of the future", self.gid, tail.position());
        let cuts = head.index <= self.log.last();
        if cuts {
            mark!("entries_cut");
            self.cut_in = cx.out.batch;
        }
        // What stands now at and after `head` is not what was committed there: a crash between
        // the two records must not leave it under the new commit index.
        let before = if cuts { commit.min(head.index.previous()) } else { commit };
        if before > self.commit_saved {
            self.save(before, cx);
        }
        self.log.append(entries);
        cx.out.record(LogRecord::Append { gid: self.gid, entries: entries.to_vec() });
        self.needs = cx.out.batch;
        cx.out.hold(self.needs, Act::Durable { gid: self.gid, upto: tail.position() });
    }

    /// The leader says that this much of what we hold is committed.
    pub(super) fn learn_commit(&mut self, commit: LogIndex) {
        assert!(
            commit <= self.log.last(),
            "{}: the leader counted entries up to {commit} that end at {}",
            self.gid,
            self.log.last()
        );
        self.commit = self.commit.max(commit);
    }

    /// A line of a heartbeat; the answer, unless the line is for somebody else. One that cannot be
    /// true is refused and has changed nothing.
    pub fn on_line(
        &mut self,
        from: phantom_base::NodeId,
        line: &Line,
        cx: &mut Context<'_>,
    ) -> Result<Option<LineAnswer>, Contradiction> {
        let stranger = self.member_of(line.from).is_none_or(|member| member.node != from);
        if stranger || line.to != self.me.replica {
            mark!("message_of_another_replica_dropped");
            return Ok(None);
        }
        self.doubt_line(line)?;
        if line.term > self.term {
            self.become_follower(line.term, None, LostWhy::NewerTerm, cx);
        }
        if line.term == self.term {
            self.follow(line.from, cx);
            self.learn_commit(line.commit);
            self.all_have = self.all_have.max(line.all_have);
        }
        Ok(Some(LineAnswer {
            gid: self.gid,
            from: self.me.replica,
            to: line.from,
            term: self.term,
            applied: self.applied,
            epoch: self.told_epoch(line.from, false, cx),
        }))
    }
}
