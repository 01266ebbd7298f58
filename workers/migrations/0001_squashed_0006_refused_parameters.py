"""What the migrations up to 0006_refused_parameters leave, in one: an empty database takes these, an older one goes on with them."""

import accounts.lib.ids
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [
        ('workers', '0001_endpoints'),
        ('workers', '0002_model_lists_and_timeouts'),
        ('workers', '0003_dialects_and_extras'),
        ('workers', '0004_model_facts'),
        ('workers', '0005_endpoint_prefill'),
        ('workers', '0006_refused_parameters'),
    ]

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Endpoint',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=80, unique=True)),
                ('kind', models.CharField(choices=[('auto', 'Found from the address'), ('openai_chat', 'OpenAI-compatible chat completions'), ('openai_responses', 'OpenAI Responses API'), ('azure', 'Azure OpenAI'), ('anthropic', 'Anthropic Messages API'), ('gemini', 'Gemini API'), ('ollama', 'Ollama API')], default='auto', help_text='Found from the address: Anthropic, Gemini, Azure and Ollama by their host or port, else OpenAI-compatible.', max_length=16, verbose_name='API')),
                ('base_url', models.CharField(help_text='For example https://api.openai.com/v1. It often ends in /v1.', max_length=500, verbose_name='address')),
                ('encrypted_key', models.TextField(blank=True, editable=False)),
                ('key_set_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('use', models.CharField(choices=[('offered', 'Offered: users may choose its models'), ('standby', 'Fallback: only used while another endpoint is down'), ('off', 'Off: not used')], default='offered', max_length=8)),
                ('position', models.PositiveIntegerField(default=10, help_text='Lowest first. If two endpoints offer the same model, the one with the lower position serves it.')),
                ('fallback_model', models.CharField(blank=True, help_text='The model to use there. Empty: the model that the user chose.', max_length=200)),
                ('connect_timeout', models.FloatField(blank=True, help_text='In seconds. Empty: the setting MODEL_CONNECT_TIMEOUT.', null=True, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(3600)], verbose_name='connect timeout')),
                ('first_chunk_timeout', models.FloatField(blank=True, help_text='In seconds. Empty: the setting MODEL_FIRST_CHUNK_TIMEOUT.', null=True, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(3600)], verbose_name='first-token timeout')),
                ('idle_timeout', models.FloatField(blank=True, help_text='In seconds. Empty: the setting MODEL_IDLE_TIMEOUT.', null=True, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(3600)], verbose_name='idle timeout')),
                ('total_timeout', models.FloatField(blank=True, help_text='In seconds. Empty: the setting MODEL_TOTAL_TIMEOUT.', null=True, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(3600)], verbose_name='total timeout')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('tested_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('test_passed', models.BooleanField(editable=False, null=True)),
                ('test_said', models.TextField(blank=True, editable=False)),
                ('fallback', models.ForeignKey(blank=True, help_text='The endpoint to use while this one is down.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='workers.endpoint')),
                ('hidden_models', models.JSONField(db_default=models.Value([], models.JSONField()), default=list, editable=False, help_text='Names of listed models not to offer.')),
                ('shown_models', models.JSONField(db_default=models.Value([], models.JSONField()), default=list, editable=False, help_text='Names of listed models that are offered although they look hidden.')),
                ('encrypted_headers', models.TextField(blank=True, db_default='', default='', editable=False)),
                ('extra_body', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, help_text='A JSON object of fields that every request gets, for example {"options": {"num_ctx": 16384}}.')),
                ('extra_query', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, help_text='A JSON object, for example {"api-version": "2024-10-21"}.')),
                ('header_names', models.JSONField(db_default=models.Value([], models.JSONField()), default=list, editable=False)),
                ('model_windows', models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict, editable=False, help_text='Context windows in tokens that staff set, by the name of a listed model.')),
                ('prefill', models.CharField(blank=True, choices=[('', 'By its address'), ('instruct', 'With an instruction: works everywhere'), ('assistant', 'It writes on in a last message of the assistant (Ollama, llama.cpp, OpenRouter)'), ('vllm', 'It writes on with continue_final_message (vLLM, SGLang)'), ('prefix', 'It writes on in a message with prefix (Mistral, DeepSeek)')], db_default='', default='', help_text='How it is asked to go on with an answer that was cut. A model that refuses is asked by instruction.', max_length=12, verbose_name='cut answers')),
            ],
            options={
                'permissions': (('test_endpoint', "Can test an endpoint's connection"),),
                'constraints': [models.CheckConstraint(condition=models.Q(('use__in', ['offered', 'standby', 'off'])), name='endpoint_use_known'), models.CheckConstraint(condition=models.Q(('fallback', models.F('id')), _negated=True), name='endpoint_not_own_fallback'), models.CheckConstraint(condition=models.Q(models.Q(('encrypted_key', ''), ('key_set_at', None)), models.Q(models.Q(('encrypted_key', ''), _negated=True), ('key_set_at__isnull', False)), _connector='OR'), name='endpoint_key_has_date'), models.CheckConstraint(condition=models.Q(('kind__in', ['auto', 'openai_chat', 'openai_responses', 'azure', 'anthropic', 'gemini', 'ollama'])), name='endpoint_kind_known')],
            },
        ),
        migrations.CreateModel(
            name='EndpointModel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='The name that the endpoint uses.', max_length=200, verbose_name='model')),
                ('label', models.CharField(blank=True, help_text='The name that users see. Empty: the same.', max_length=200)),
                ('position', models.PositiveIntegerField(default=10)),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='models', to='workers.endpoint')),
                ('first_chunk_timeout', models.FloatField(blank=True, help_text="In seconds. Empty: the endpoint's.", null=True, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(3600)], verbose_name='first-token timeout')),
                ('idle_timeout', models.FloatField(blank=True, help_text="In seconds. Empty: the endpoint's.", null=True, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(3600)], verbose_name='idle timeout')),
                ('total_timeout', models.FloatField(blank=True, help_text="In seconds. Empty: the endpoint's.", null=True, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(3600)], verbose_name='total timeout')),
                ('encrypted_headers', models.TextField(blank=True, db_default='', default='', editable=False)),
                ('extra_body', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, help_text='A JSON object of fields that every request gets, for example {"options": {"num_ctx": 16384}}.')),
                ('extra_query', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, help_text='A JSON object, for example {"api-version": "2024-10-21"}.')),
                ('header_names', models.JSONField(db_default=models.Value([], models.JSONField()), default=list, editable=False)),
                ('window', models.PositiveIntegerField(blank=True, help_text='In tokens. Empty: what the endpoint lists, or what was learnt from it.', null=True, validators=[django.core.validators.MinValueValidator(256), django.core.validators.MaxValueValidator(1000000000)], verbose_name='context window')),
            ],
            options={
                'verbose_name': 'model',
                'ordering': ('position', 'id'),
                'constraints': [models.UniqueConstraint(fields=('endpoint', 'name'), name='endpoint_model_once')],
            },
        ),
        migrations.CreateModel(
            name='ModelFact',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('endpoint', models.CharField(max_length=200)),
                ('model', models.CharField(max_length=200)),
                ('window', models.PositiveIntegerField(help_text='In tokens, as a refusal named it.', null=True)),
                ('window_at', models.DateTimeField(null=True)),
                ('ratios', models.JSONField(default=dict, help_text='By kind of text: real tokens divided by estimated ones, of the last answers.')),
                ('measured_at', models.DateTimeField(null=True)),
                ('refused', models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict, help_text='What the model does not accept, and when it refused it.')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('endpoint', 'model'), name='model_fact_once')],
            },
        ),
    ]
