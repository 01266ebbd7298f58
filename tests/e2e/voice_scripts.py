"""Scripts that the browser runs in the tests of voice."""

from __future__ import annotations

from pathlib import Path

VOICE = Path(__file__).parent.parent / "fakes" / "speech_synthesis.js"
# Everything the panel ever showed, in order: what is seen for a moment only is not missed by a busy machine.
WITNESS = """
window.seen = [];
addEventListener("DOMContentLoaded", () => {
    const watch = (selector, name) => {
        const element = document.querySelector(selector);
        const note = () => window.seen.push([name, element.value ?? element.textContent.trim()]);
        new MutationObserver(note).observe(element, {subtree: true, childList: true, characterData: true});
    };
    watch("#voice-state", "state");
    watch(".heard", "heard");
});
"""
HEARING = "() => window.seen.some(([name, text]) => name === 'state' && text === 'Speech detected…')"
RESAMPLED = """async ([rate, hertz]) => {
    const context = new OfflineAudioContext(1, rate, rate);
    await context.audioWorklet.addModule(document.getElementById("mic").dataset.worklet);
    const node = new AudioWorkletNode(context, "recorder", { numberOfInputs: 1, numberOfOutputs: 0 });
    const samples = [];
    node.port.onmessage = ({ data }) => samples.push(...new Int16Array(data.pcm));
    const tone = new OscillatorNode(context, { frequency: hertz });
    tone.connect(new GainNode(context, { gain: 0.5 })).connect(node);
    tone.start();
    await context.startRendering();
    for (let n = 0; n < 100 && samples.length < 14_400; n += 1) await new Promise((resolve) => setTimeout(resolve, 20));
    return samples;
}"""
# A microphone that hears what the page is told to speak into it, and nothing else. `spoken`: WAV files by their text.
MICROPHONE = """
window.tracks = [];
navigator.mediaDevices && (navigator.mediaDevices.getUserMedia = async () => {
    const context = (window.room = new AudioContext());
    window.outlet = new MediaStreamAudioDestinationNode(context);
    window.tracks.push(...outlet.stream.getAudioTracks());
    return outlet.stream;
});
window.speakInto = async (text) => {
    const bytes = Uint8Array.from(atob(spoken[text]), (one) => one.charCodeAt(0));
    const buffer = await room.decodeAudioData(bytes.buffer);
    const source = new AudioBufferSourceNode(room, { buffer });
    source.connect(outlet);
    source.start();
    window.spokeAt = performance.now();
};
"""
