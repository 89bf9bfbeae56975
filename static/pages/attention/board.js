// The figures beside the picture: what the session sees, in words and lists.
import { button, part, setText } from '../scanner/dom.js';
import { USUAL } from './signal/rules.js';
import { all, duration, noCounts, STATES, WORDS } from './summary.js';

/** @typedef {import('./session.js').Session} Session */
/** @typedef {import('./summary.js').Counts} Counts */

const POSTURES = Object.freeze({ upright: 'upright', leaning: 'leaning', slumped: 'slumped', unknown: 'not clear yet' });
const percent = (/** @type {number} */ share) => `${Math.round(share * 100)} %`;

export class Board {
  /** @param {ParentNode} root */
  constructor(root) {
    this.root = root;
    this.meter = part(root, 'meter', HTMLElement);
    this.bar = part(root, 'meter-bar', HTMLElement);
    this.key = part(root, 'key', HTMLElement);
    fillKey(this.key);
    fillKey(part(root, 'end-key', HTMLElement));
  }

  /** @param {string} name @param {string} text */
  say(name, text) {
    setText(part(this.root, name, HTMLElement), text);
  }

  /** @param {Session} session */
  show(session) {
    const counts = noCounts();
    for (const { state } of session.seen) counts[state] += 1;
    if (session.mode === 'solo') this.showAlone(session);
    else this.showRoom(counts);
    this.showPace(session);
  }

  /** @param {Session} session */
  showAlone({ alone, postureNow }) {
    this.say('word', WORDS[alone.state]);
    const facing = Math.round((alone.facing ?? 0) * 100);
    this.bar.style.transform = `scaleX(${facing / 100})`;
    this.meter.setAttribute('aria-valuenow', String(facing));
    this.say('posture', `Posture: ${POSTURES[postureNow]}`);
    if (alone.calibration) this.say('calibration', `Look at the screen as you usually do… ${percent(alone.calibration.progress)}`);
    else if (alone.calibrationFailed) this.say('calibration', 'That did not work: keep your face in view and your head still for five seconds.');
    else if (alone.neutral !== USUAL) this.say('calibration', 'Calibrated: how you looked then is “facing the screen”.');
    button(this.root, 'calibrate').disabled = Boolean(alone.calibration);
  }

  /** The session so far: what a second more has changed. @param {Session} session */
  showSecond({ mode, log }) {
    const { shares } = log.summary;
    if (mode === 'solo') writeKey(this.key, (state) => percent(shares[state]));
    this.say('timeline-words', `${percent(shares.facing)} facing the screen so far.`);
  }

  /** @param {Counts} counts */
  showRoom(counts) {
    this.say('room-facing', String(counts.facing));
    this.say('room-faces', String(all(counts) - counts.away));
    writeKey(this.key, (state) => String(counts[state]));
  }

  /** @param {Session} session */
  showPace({ pace: { fps, work, stages }, elapsed }) {
    const one = (/** @type {number} */ ms) => `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
    this.say('pace', `${duration(elapsed / 1000)} · ${fps.toFixed(fps < 10 ? 1 : 0)} frames a second, ${one(work)} each `
      + `(reading ${one(stages.read)}, finding ${one(stages.detect)}, cropping ${one(stages.crop)}, heads ${one(stages.head)})`);
  }

  /** The session afterwards. @param {import('./summary.js').Log} log @param {import('./summary.js').Mode} mode */
  showEnd(log, mode) {
    const { seconds, shares, longestFacing, mostFaces } = log.summary;
    const faces = mode === 'room' ? ` At most ${mostFaces} face${mostFaces === 1 ? '' : 's'} at once.` : '';
    this.say('end-words', seconds
      ? `${duration(seconds)}, of which ${percent(shares.facing)} facing the screen; the longest stretch ${duration(longestFacing)}.${faces}`
      : 'It was too short to say anything.');
    writeKey(part(this.root, 'end-key', HTMLElement), (state) => percent(shares[state]));
  }
}

/** @param {HTMLElement} list */
function fillKey(list) {
  list.replaceChildren(...STATES.map((state) => {
    const item = document.createElement('li'), swatch = document.createElement('span'), figure = document.createElement('span');
    swatch.className = 'swatch';
    swatch.dataset.state = state;
    swatch.ariaHidden = 'true';
    figure.dataset.figure = state;
    item.append(swatch, WORDS[state], figure);
    return item;
  }));
}

/** @param {HTMLElement} list @param {(state: import('./signal/rules.js').State) => string} figureOf */
function writeKey(list, figureOf) {
  for (const state of STATES) {
    const figure = list.querySelector(`[data-figure="${state}"]`);
    if (figure) setText(figure, figureOf(state));
  }
}
