import {mountLayers} from './layers/panel.ts';
import {LossChart} from './page/chart.ts';
import {WorkerClient} from './page/client.ts';
import {byId} from './page/dom.ts';
import {keepPage} from './page/drop.ts';
import {mountKeep} from './page/keep_panel.ts';
import {mountModel} from './page/model_panel.ts';
import {mountNotices} from './page/notices.ts';
import {Phase} from './page/phase.ts';
import {mountSamples} from './page/samples_panel.ts';
import {mountSettings} from './page/settings_panel.ts';
import {Strips} from './page/strips.ts';
import {mountText} from './page/text_panel.ts';
import {mountTraining} from './page/training_panel.ts';

keepPage();
const phase = new Phase();
const client = new WorkerClient();
const text = mountText();
const settings = mountSettings(client);
mountNotices(client, phase);
const model = mountModel(client, phase, settings.current);
mountTraining(client, phase, {
  chart: new LossChart(byId('chart'), ['celora', 'exact']),
  strips: new Strips(byId('strips')),
  readText: text.read,
  readSettings: settings.read,
});
mountSamples(client, phase); // after what it follows: it writes when a model is loaded, and when training ends
mountKeep(client);
mountLayers(client, phase);
model.start();
