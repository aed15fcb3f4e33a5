// Records and failures over time, and under them one track for each set, whose ends and whole can be dragged or moved by keys.
// Places are whole spans: a range [a, b) covers the spans a … b-1. Emits `range` {name, from, to} while it is moved.
const SEND_MS = 90;

export default {
  template: `
    <div class="ii-timeline">
      <div class="ii-tl-plot" @mousemove="look" @mouseleave="at = null">
        <span class="ii-tl-top" aria-hidden="true">{{ top.toLocaleString('en-US') }} {{ words.rows }}</span>
        <span class="ii-tl-legend" aria-hidden="true"><i></i>{{ words.failures }}</span>
        <svg :viewBox="'0 0 ' + count + ' 100'" preserveAspectRatio="none" role="img" :aria-label="title">
          <g v-for="(total, i) in rows" :key="i">
            <rect :x="i + 0.06" width="0.88" :y="100 - height(total)" :height="height(total)" :class="'ii-tl-' + part(i)"></rect>
            <rect :x="i + 0.06" width="0.88" :y="100 - height(failures[i])" :height="height(failures[i])" class="ii-tl-fail"></rect>
          </g>
        </svg>
        <i v-for="cut in cuts" :key="cut.key" :class="'ii-tl-cut ii-tl-' + cut.name" :style="{left: share(cut.place)}"></i>
        <div v-if="at !== null" class="ii-tl-tip" :style="{left: share(at + 0.5), transform: 'translateX(' + (at > count / 2 ? '-104%' : '4%') + ')'}">
          <b>{{ labels[at] }}</b><br>{{ rows[at].toLocaleString('en-US') }} {{ words.rows }} · {{ failures[at].toLocaleString('en-US') }} {{ words.failures }}
        </div>
      </div>
      <div class="ii-tl-axis" aria-hidden="true"><span v-for="tick in ticks" :key="tick.place" :style="tick.style">{{ tick.text }}</span></div>
      <div v-for="(range, name) in now" :key="name" class="ii-tl-track" ref="tracks">
        <div :class="'ii-tl-bar ii-tl-' + name" :style="{left: share(range[0]), width: share(range[1] - range[0])}"
             @pointerdown="grab($event, name, 'both')"><span>{{ words[name] }}</span></div>
        <div v-for="end in [0, 1]" :key="end" :class="'ii-tl-grip ii-tl-' + name" :style="{left: share(range[end])}" role="slider" tabindex="0"
             :aria-label="words[name] + ', ' + words.ends[end]" aria-valuemin="0" :aria-valuemax="count" :aria-valuenow="range[end]"
             :aria-valuetext="labels[range[end]]" :title="labels[range[end]]"
             @pointerdown="grab($event, name, end)" @keydown="key($event, name, end)"></div>
      </div>
    </div>`,
  props: { rows: Array, failures: Array, labels: Array, ranges: Object, words: Object, title: String },
  data() { return { now: this.copy(this.ranges), at: null, sentAt: 0, waiting: null }; },
  watch: { ranges: { deep: true, handler(value) { if (!this.held) this.now = this.copy(value); } } },
  computed: {
    count() { return this.rows.length; },
    top() { return Math.max(1, ...this.rows); },
    cuts() {
      return Object.entries(this.now).flatMap(([name, range]) => range.map((place, end) => ({ key: name + end, name, place })));
    },
    ticks() {
      const many = 5;
      return Array.from({ length: many }, (_, i) => {
        const place = Math.round(i * this.count / (many - 1));
        const shift = i === 0 ? '0' : i === many - 1 ? '-100%' : '-50%';
        return { place, text: this.labels[place], style: { left: this.share(place), transform: 'translateX(' + shift + ')' } };
      });
    },
  },
  methods: {
    copy(ranges) { return JSON.parse(JSON.stringify(ranges)); },
    height(value) { return 100 * value / this.top; },
    share(place) { return 100 * place / this.count + '%'; },
    part(i) { return Object.keys(this.now).find(name => this.now[name][0] <= i && i < this.now[name][1]) || 'outside'; },
    look(event) {
      const box = event.currentTarget.getBoundingClientRect();
      this.at = Math.min(Math.max(Math.floor((event.clientX - box.left) / box.width * this.count), 0), this.count - 1);
    },
    grab(event, name, end) {
      event.preventDefault();
      event.currentTarget.focus && event.currentTarget.focus();
      const width = event.currentTarget.parentElement.getBoundingClientRect().width;
      const [from, to] = this.now[name], startX = event.clientX;
      this.held = true;
      const move = next => {
        const by = Math.round((next.clientX - startX) / width * this.count);
        if (end === 'both') this.shift(name, from, to, by); else this.put(name, end, (end ? to : from) + by);
      };
      const drop = () => {
        removeEventListener('pointermove', move); removeEventListener('pointerup', drop); removeEventListener('pointercancel', drop);
        this.held = false;
        this.send(name, true);
      };
      addEventListener('pointermove', move); addEventListener('pointerup', drop); addEventListener('pointercancel', drop);
    },
    key(event, name, end) {
      const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -this.count, End: this.count }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      this.put(name, end, this.now[name][end] + by);
    },
    put(name, end, place) {
      const range = [...this.now[name]];
      range[end] = end ? Math.min(Math.max(place, range[0] + 1), this.count) : Math.max(Math.min(place, range[1] - 1), 0);
      this.change(name, range);
    },
    shift(name, from, to, by) {
      const bounded = Math.min(Math.max(by, -from), this.count - to);
      this.change(name, [from + bounded, to + bounded]);
    },
    change(name, range) {
      if (range[0] === this.now[name][0] && range[1] === this.now[name][1]) return;
      this.now[name] = range;
      this.send(name, false);
    },
    send(name, last) {
      clearTimeout(this.waiting);
      const since = Date.now() - this.sentAt;
      if (!last && since < SEND_MS) { this.waiting = setTimeout(() => this.send(name, true), SEND_MS - since); return; }
      this.sentAt = Date.now();
      this.$emit('range', { name, from: this.now[name][0], to: this.now[name][1] });
    },
  },
};
